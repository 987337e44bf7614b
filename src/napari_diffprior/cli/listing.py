"""``diffprior list``."""

from __future__ import annotations

from .app import app


@app.command(name="list")
def list_() -> None:
    """List priors, samplers and operators."""
    from rich.console import Console
    from rich.table import Table

    from ..priors.store import list_priors
    from ..registry import registered

    console = Console()
    priors = Table("prior", "channels", "patch", "MB", "licence", "folder")
    for info in list_priors():
        patch = " x ".join(map(str, info.patch))
        priors.add_row(info.name, str(info.channels), patch, f"{info.megabytes:.1f}", info.licence, str(info.folder))
    methods = Table("sampler", "what it is")
    for name, cls in registered("sampler").items():
        methods.add_row(name, (cls.__doc__ or "").splitlines()[0])
    console.print(priors, methods, f"operators: {', '.join(registered('operator'))}")
