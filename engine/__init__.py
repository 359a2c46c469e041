"""Latent Studio's engine: everything that computes. It never imports Qt."""

import os

# Threads of an idle OpenMP team sleep instead of spinning. It must be set before torch loads OpenMP. With another busy
# process on the machine (a training run beside the window) two spinning threads coded a photo ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
