"""The recipe of kws_dscnn: `python -m hwgen.models.kws_dscnn.train --help`."""

from .. import recipe, training
from ..fashion_cnn import data
from .network import KwsDSCNN

# A network this small is regularised little.
RECIPE = training.Recipe(
    epochs=25, weight_decay=2e-4, label_smoothing=0.0, max_shift=1, bfloat16=True
)

TASK = recipe.Task(
    name="kws_dscnn",
    network=KwsDSCNN,
    dataset="Fashion-MNIST",
    read=data.read,
    folder=data.DEBIAN_FOLDER,
    recipe=RECIPE,
    shipped_tests=500,
)

main = recipe.command(TASK)

if __name__ == "__main__":
    main()
