"""Small untrained models of the generative families: every flow of the pages works on them as on trained ones."""

from __future__ import annotations

from pathlib import Path

DIGITS, FACES, PLAIN = "tiny-digits", "tiny-faces", "tiny-autoencoder"


def save_tiny_models(folder: Path) -> None:
    """Write a conditional VAE with one attribute, one with two, and an autoencoder into `folder`."""
    import torch

    from engine.models.autoencoder import Autoencoder
    from engine.models.card import Attribute, ModelCard
    from engine.models.conditional_vae import ConditionalVAE
    from engine.models.network import Batch
    from engine.models.store import save_model

    digit = Attribute(name="digit", values=tuple("0123456789"))
    hair = Attribute(name="hair", values=("bald", "bun", "long"))
    glasses = Attribute(name="glasses", values=("none", "round"))
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    for name, attributes, channels in ((DIGITS, (digit,), 1), (FACES, (hair, glasses), 3), (PLAIN, (), 3)):
        sizes = tuple(len(attribute.values) for attribute in attributes)
        shape = {"image_size": 32, "channels": channels, "latent_size": 6, "widths": (16, 8, 8), "features": 16}
        kind = ConditionalVAE if attributes else Autoencoder
        extra = (
            {"attribute_sizes": sizes, "attribute_width": 4, "flow_width": 16, "flow_steps": 2} if attributes else {}
        )
        network = kind(kind.Config.model_validate({**shape, **extra})).eval()
        labels = torch.stack([torch.randint(0, size, (32,)) for size in sizes], dim=1) if sizes else None
        batches = [Batch(torch.rand(32, channels, 32, 32), labels)]
        card = ModelCard(name=name, family=network.family, summary=f"Tiny: {name}", attributes=attributes)
        with torch.no_grad():
            card = network.finish(batches, card)
        save_model(folder / f"{name}.safetensors", network, card)
