"""What stands before and after a call of a program, and the shapes of its tensors."""

from torch import fx

from hwgen.frontend.calls import CONSTANT_OPS, UNCHANGED, layer_of, op_of

__all__ = ["after", "before", "names_of", "shape_of", "sizes"]


def before(node: fx.Node, source: object = None) -> fx.Node | None:
    """The call that feeds this one, what changes nothing left out; None at the network's input.

    ``source`` is the operand to follow, if not the first.
    """
    source = node.args[0] if source is None else source
    while isinstance(source, fx.Node) and source.op == "call_function":
        if op_of(source) not in UNCHANGED | CONSTANT_OPS:
            return source
        source = source.args[0]
    return None


def after(node: fx.Node) -> list[fx.Node]:
    """The calls that read this one, what changes nothing left out."""
    found: list[fx.Node] = []
    for user in node.users:
        unchanged = user.op == "call_function" and op_of(user) in UNCHANGED
        found += after(user) if unchanged else [user]
    return found


def names_of(nodes: list[fx.Node]) -> str:
    """Layers by name, the output among them."""
    return ", ".join("the output" if node.op == "output" else layer_of(node) for node in nodes)


def shape_of(node: object) -> tuple[int | None, ...] | None:
    """The shape of a tensor, None where a size is not fixed; None if it is unknown."""
    return node.meta.get("shape") if isinstance(node, fx.Node) else None


def sizes(shape: tuple[int | None, ...]) -> str:
    """A shape as text; sizes that are not fixed are question marks."""
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"
