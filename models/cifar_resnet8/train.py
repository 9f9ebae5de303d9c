"""The recipe of cifar_resnet8: `python -m hwgen.models.cifar_resnet8.train --help`."""

from hwgen import compress

from .. import recipe, training
from . import data
from .network import CifarResNet8

# A network this small fits the training images no better than the test images by much, so it is
# regularised little: no label smoothing, and less weight decay than larger ones take.
RECIPE = training.Recipe(
    epochs=80, batch=128, weight_decay=2e-4, label_smoothing=0.0, max_shift=4, bfloat16=True
)

TASK = recipe.Task(
    name="cifar_resnet8",
    network=CifarResNet8,
    dataset="CIFAR-10",
    read=data.read,
    folder=data.FOLDER,
    recipe=RECIPE,
    finetune=compress.Recipe(epochs=20, peak_lr=2e-3, bfloat16=True),
    shipped_tests=500,
)

main = recipe.command(TASK)

if __name__ == "__main__":
    main()
