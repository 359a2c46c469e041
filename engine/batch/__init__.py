"""Many files at once: a plan of rows, a journal that survives a kill, and workers that do the rows."""
