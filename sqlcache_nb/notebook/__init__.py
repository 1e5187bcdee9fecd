"""The notebook's skin: `%load_ext sqlcache_nb`, then `%%cachedsql`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Make the magic known: what `%load_ext` calls.

    Args:
        shell: the running IPython.
    """
    from sqlcache_nb.notebook.magics import CachedSQLMagics

    shell.register_magics(CachedSQLMagics)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Take the magic away and close the engines that it made: what `%unload_ext` calls.

    Args:
        shell: the running IPython.
    """
    magics = shell.magics_manager.registry.pop("CachedSQLMagics", None)
    if magics is not None:
        magics.close()
        shell.configurables.remove(magics)
        for kind in ("line", "cell"):
            shell.magics_manager.magics[kind].pop("cachedsql", None)
