"""Models that several test files of the engine share, trained once per run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.generative_models import make_autoencoder, make_vae


@pytest.fixture(scope="session")
def vae_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conditional VAE of 32x32 discs with two attributes."""
    return make_vae(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def autoencoder_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain autoencoder of the same discs."""
    return make_autoencoder(tmp_path_factory.mktemp("models"))
