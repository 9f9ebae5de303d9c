"""Torch twins of ops that torch lacks, as ``torch.library`` ops that survive export."""
