"""Autoencoder: a plain under-complete convolutional autoencoder; its latent is smaller than the picture, no more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from engine.losses.reconstruction import Likelihood, psnr_from_mse, reconstruction_nll
from engine.models.card import LatentDimension, ModelCard
from engine.models.latent_statistics import quantiles
from engine.models.network import Batch, Network, TrainingMoment
from engine.models.picture_networks import PictureDecoder, PictureEncoder, stem_size

_MEASURED = 128


class AutoencoderConfig(BaseModel):
    """Shape of an `Autoencoder`.

    Attributes:
        image_size: side in pixels.
        channels: 1 grey, 3 colour.
        latent_size: D.
        widths, features: as in `ConditionalVaeConfig`.
        likelihood: what the loss assumes of a pixel's error: "gaussian" is the logarithm of the MSE, "laplace" of the
            mean absolute error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: Literal[28, 32, 64, 128] = 64
    channels: Literal[1, 3] = 3
    latent_size: int = Field(default=32, ge=1, le=4096)
    widths: tuple[Annotated[int, Field(ge=8, le=1024)], ...] = Field(
        default=(128, 96, 64, 32), min_length=1, max_length=6
    )
    features: int = Field(default=256, ge=8, le=4096)
    likelihood: Likelihood = "gaussian"

    @model_validator(mode="after")
    def _is_under_complete(self) -> Self:
        stem_size(self.image_size, self.widths)
        if self.latent_size >= self.channels * self.image_size**2:
            raise ValueError("the latent is as large as the picture: the network could copy it; choose a smaller one")
        return self


class Autoencoder(Network[AutoencoderConfig]):
    """Encoder, bottleneck of D numbers, decoder; trained on the reconstruction error alone."""

    family = "autoencoder"
    Config = AutoencoderConfig

    latent_mean: Tensor
    latent_whitening: Tensor
    distance_limit: Tensor

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__(config)
        self.encoder = PictureEncoder(config.channels, config.image_size, config.widths, config.features)
        self.bottleneck = nn.Linear(config.features, config.latent_size)
        self.expand = nn.Sequential(nn.Linear(config.latent_size, config.features), nn.SiLU())
        self.decoder = PictureDecoder(config.features, config.channels, config.image_size, config.widths)
        self.register_buffer("latent_mean", torch.zeros(config.latent_size))
        self.register_buffer("latent_whitening", torch.eye(config.latent_size))
        self.register_buffer("distance_limit", torch.tensor(1.5 * config.latent_size**0.5))

    def encode(self, images: Tensor) -> Tensor:
        """Pictures (B, C, S, S) in 0..1 -> latents (B, D)."""
        return self.bottleneck(self.encoder(images)).float()

    def decode(self, z: Tensor) -> Tensor:
        """Latents (B, D) -> pictures (B, C, S, S), about 0..1, not clamped."""
        return self.decoder(self.expand(z))

    def distance(self, z: Tensor) -> Tensor:
        """Mahalanobis distance of latents (B, D) from the training data's, (B,)."""
        return ((z - self.latent_mean) @ self.latent_whitening).norm(dim=1)

    def training_loss(self, batch: Batch, moment: TrainingMoment) -> dict[str, Tensor]:
        prediction = self.decode(self.encode(batch.images)).float()
        loss = reconstruction_nll(prediction, batch.images, self.config.likelihood)
        mse = (prediction.detach() - batch.images).square().mean()
        return {"loss": loss, "mse": mse, "psnr": psnr_from_mse(mse)}

    def preview(self, batch: Batch) -> Tensor:
        """Pictures and their reconstructions."""
        return torch.cat([batch.images, self.decode(self.encode(batch.images))]).clamp(0, 1)

    def finish(self, batches: Iterable[Batch], card: ModelCard) -> ModelCard:
        """Measure the latents: mean, covariance, ranges, and the share of the pixels' variance per dimension.

        The card's attributes are dropped: this network cannot be told any.
        """
        z = torch.cat([self.encode(batch.images) for batch in batches])
        low, high = quantiles(z)
        self.latent_mean.copy_(z.mean(0))
        covariance = torch.cov(z.T.double()).reshape(z.shape[1], z.shape[1])
        values, vectors = torch.linalg.eigh(covariance)
        # A direction without variance would make every distance infinite: it counts as a thousandth of the largest.
        scale = values.clamp_min(float(values.max()) * 1e-6 + 1e-12).rsqrt()
        self.latent_whitening.copy_(vectors * scale)
        self.distance_limit.copy_(torch.quantile(self.distance(z), 0.99))
        variance = self._explained_variance(z[:_MEASURED])
        dimensions = tuple(
            LatentDimension(
                index=index, importance=float(variance[index]), low=float(low[index]), high=float(high[index])
            )
            for index in range(self.config.latent_size)
        )
        return card.model_copy(update={"latent_dimensions": dimensions, "attributes": ()})

    def _explained_variance(self, z: Tensor) -> Tensor:
        """Mean squared change of a pixel value when one dimension is replaced by another picture's, halved; (D,).

        For independent dimensions and a linear decoder this is the variance of the picture that the dimension explains.
        """
        pictures = self.decode(z).clamp(0, 1)
        other = z.roll(1, 0)
        variance = []
        for index in range(z.shape[1]):
            changed = z.clone()
            changed[:, index] = other[:, index]
            variance.append(0.5 * (self.decode(changed).clamp(0, 1) - pictures).square().mean())
        return torch.stack(variance)
