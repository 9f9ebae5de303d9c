"""The recipe of digits_mlp: `python -m hwgen.models.digits_mlp.train --help`."""

from .. import recipe, training
from . import data
from .network import DigitsMLP

# A mirrored digit is no digit, and in eight pixels there is no room to shift one.
RECIPE = training.Recipe(epochs=200, batch=64, flip=False, max_shift=0)

TASK = recipe.Task(
    name="digits_mlp",
    network=DigitsMLP,
    dataset="scikit-learn digits",
    read=data.read,
    folder=None,
    recipe=RECIPE,
)

main = recipe.command(TASK)

if __name__ == "__main__":
    main()
