"""The recipe of cifar_vgg: `python -m hwgen.models.cifar_vgg.train --help`."""

from hwgen import compress

from .. import recipe, training
from ..cifar_resnet8 import data
from .network import CifarVGG

RECIPE = training.Recipe(epochs=30, batch=128, max_shift=4, bfloat16=True)

TASK = recipe.Task(
    name="cifar_vgg",
    network=CifarVGG,
    dataset="CIFAR-10",
    read=data.read,
    folder=data.FOLDER,
    recipe=RECIPE,
    finetune=compress.Recipe(epochs=30, peak_lr=1e-3, distil=0.9, bfloat16=True),
    shipped_tests=500,
)

main = recipe.command(TASK)

if __name__ == "__main__":
    main()
