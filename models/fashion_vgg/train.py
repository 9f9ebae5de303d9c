"""The recipe of fashion_vgg: `python -m hwgen.models.fashion_vgg.train --help`."""

from hwgen import compress

from .. import recipe, training
from ..fashion_cnn import data
from .network import FashionVGG

RECIPE = training.Recipe(epochs=20, batch=128, max_shift=1, erase=0.25, bfloat16=True)

TASK = recipe.Task(
    name="fashion_vgg",
    network=FashionVGG,
    dataset="Fashion-MNIST",
    read=data.read,
    folder=data.DEBIAN_FOLDER,
    recipe=RECIPE,
    finetune=compress.Recipe(epochs=4, peak_lr=2e-3, distil=0.9, bfloat16=True),
    shipped_tests=500,
)

main = recipe.command(TASK)

if __name__ == "__main__":
    main()
