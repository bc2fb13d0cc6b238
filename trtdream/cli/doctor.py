"""`trtdream doctor`: what this machine has, and what is missing."""

from trtdream.cli import app


@app.command()
def doctor() -> None:
    """Show versions, GPUs and backends, and what is missing."""
