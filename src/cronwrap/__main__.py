"""``python -m cronwrap``."""
def main() -> int:
    return 0
def shell_main() -> int:
    return 0
