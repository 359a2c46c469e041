"""Small generative models for the tests: made of our own networks, trained for some steps on drawn discs."""

from __future__ import annotations

from pathlib import Path

import torch

from engine.models.autoencoder import Autoencoder, AutoencoderConfig
from engine.models.card import Attribute, ModelCard
from engine.models.conditional_vae import ConditionalVAE, ConditionalVaeConfig
from engine.models.network import Batch, Network, TrainingMoment
from engine.models.store import save_model

ATTRIBUTES = (
    Attribute(name="size", values=("small", "middle", "large")),
    Attribute(name="shade", values=("dark", "bright")),
)
SIDE = 32


def discs(count: int, seed: int, channels: int = 3) -> Batch:
    """Pictures of discs whose radius and brightness are the two attributes; the place is free."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.stack([torch.randint(n, (count,), generator=generator) for n in (3, 2)], dim=1)
    centre = torch.rand(count, 2, 1, 1, generator=generator) * 10 + 11
    grid = torch.arange(SIDE).float()
    distance = ((grid[None, :, None] - centre[:, 0]) ** 2 + (grid[None, None, :] - centre[:, 1]) ** 2).sqrt()
    radius = (4 + 3 * labels[:, 0]).float()[:, None, None]
    inside = (radius - distance + 0.5).clamp(0, 1)
    shade = (0.45 + 0.5 * labels[:, 1]).float()[:, None, None]
    return Batch((inside * shade)[:, None].expand(-1, channels, -1, -1).contiguous(), labels)


def train_some_steps(network: Network, stage: str, steps: int, batch_size: int = 32) -> list[float]:
    """Adam for some steps; the losses."""
    network.train()
    flow_only = stage == "flow"
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith("flow.") or not flow_only)
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for step in range(steps):
        loss = network.training_loss(discs(batch_size, step), TrainingMoment(stage, step, steps))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def _finish(network: Network, name: str, folder: Path) -> Path:
    network.eval().requires_grad_(False)
    card = ModelCard(name=name, family=network.family, attributes=ATTRIBUTES)
    with torch.no_grad():
        card = network.finish((discs(64, 1000 + index) for index in range(4)), card)
    path = folder / f"{name}.safetensors"
    save_model(path, network, card)
    return path


def make_vae(folder: Path) -> Path:
    """A conditional VAE of 32x32 discs with a trained flow."""
    torch.manual_seed(0)
    config = ConditionalVaeConfig(
        image_size=32, channels=3, latent_size=4, attribute_sizes=(3, 2), widths=(24, 16), features=64, flow_width=32,
        attribute_width=8, drop_one=0.1,
    )  # fmt: skip
    network = ConditionalVAE(config)
    train_some_steps(network, "vae", 150)
    train_some_steps(network, "flow", 100)
    return _finish(network, "discs", folder)


def make_autoencoder(folder: Path) -> Path:
    """An autoencoder of 32x32 discs."""
    torch.manual_seed(0)
    network = Autoencoder(AutoencoderConfig(image_size=32, channels=3, latent_size=4, widths=(24, 16), features=64))
    train_some_steps(network, "fit", 80)
    return _finish(network, "discs-ae", folder)
