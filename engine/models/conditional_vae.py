"""ConditionalVAE: a VAE told the picture's attributes, with a latent flow as the prior that samples are drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, NamedTuple, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from engine.losses.adversarial import (
    balanced_weight,
    hinge_discriminator_loss,
    hinge_generator_loss,
    r1_penalty,
)
from engine.losses.kl import kl_per_dimension, warm_up, with_free_bits
from engine.losses.perceptual import perceptual_distance
from engine.losses.reconstruction import Likelihood, psnr_from_mse, reconstruction_nll
from engine.models.card import LatentDimension, ModelCard
from engine.models.latent_flow import Guidance, LatentFlow
from engine.models.latent_statistics import principal_moves, quantiles
from engine.models.network import Batch, Network, TrainingMoment
from engine.models.picture_networks import PictureDecoder, PictureEncoder, stem_size
from engine.models.polish import Polish

LOG_VARIANCE_RANGE = (-10.0, 6.0)
_JACOBIAN_STYLES = 24
_FLOW_DRAWS = 8
_INVERTED = 1024
_R1_EVERY = 16
_ADVERSARIAL_START = 0.1  # share of the polish over which the discriminator's say grows: it knows nothing at first

Width = Annotated[int, Field(ge=8, le=1024)]


class ConditionalVaeConfig(BaseModel):
    """Shape and loss of a `ConditionalVAE`.

    Attributes:
        image_size: side in pixels.
        channels: 1 grey, 3 colour.
        latent_size: D.
        attribute_sizes: number of values of each attribute, in the card's order.
        widths: decoder channels from the coarsest feature map to the finest, at half the picture's size; each map is
            twice as large as the one before. The encoder has the same in reverse.
        features: length of the encoder's last hidden layer and of the condition of decoder blocks.
        attribute_width: length of each attribute's embedding.
        likelihood: of a pixel; "laplace" for flat drawings.
        free_bits: nats per dimension that cost nothing.
        warm_up: share of the first stage over which the KL's weight moves to 1.
        kl_start: the KL's weight before that; above 1 keeps what the attributes say out of the latent, see `warm_up`.
        drop_all: share of training rows whose attributes are all hidden: what "any" means.
        drop_one: share of the attributes hidden, each by itself, in the other rows. The latent then learns to carry any
            attribute that is left open.
        flow_width, flow_layers: of the flow's residual network.
        flow_steps: midpoint steps from style to latent.
        polish_perceptual: pull of the perceptual distance in a stage "polish", beside the likelihood's pull of 1.
        polish_recognition: pull of that classifier's opinion on the attributes asked for.
        polish_adversarial: pull of the discriminator.
        polish_r1: gamma, the weight of the penalty on the discriminator's gradient.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_size: Literal[28, 32, 64, 128] = 28
    channels: Literal[1, 3] = 1
    latent_size: int = Field(default=16, ge=1, le=1024)
    attribute_sizes: tuple[Annotated[int, Field(ge=1, le=1024)], ...] = Field(default=(10,), max_length=64)
    widths: tuple[Width, ...] = Field(default=(96, 48), min_length=1, max_length=6)
    features: int = Field(default=256, ge=8, le=4096)
    attribute_width: int = Field(default=16, ge=1, le=256)
    likelihood: Likelihood = "gaussian"
    free_bits: float = Field(default=0.05, ge=0, le=10)
    warm_up: float = Field(default=0.15, ge=0, le=1)
    kl_start: float = Field(default=0.0, ge=0, le=100)
    drop_all: float = Field(default=0.1, ge=0, le=1)
    drop_one: float = Field(default=0.0, ge=0, le=1)
    flow_width: int = Field(default=256, ge=8, le=4096)
    flow_layers: int = Field(default=3, ge=1, le=32)
    flow_steps: int = Field(default=8, ge=1, le=256)
    polish_perceptual: float = Field(default=0.5, ge=0, le=100)
    polish_recognition: float = Field(default=0.2, ge=0, le=100)
    polish_adversarial: float = Field(default=0.5, ge=0, le=100)
    polish_r1: float = Field(default=1.0, ge=0, le=1000)

    @model_validator(mode="after")
    def _halves_evenly(self) -> Self:
        stem_size(self.image_size, self.widths)
        return self


class Posterior(NamedTuple):
    """A diagonal Gaussian over latents: mean and log variance, both (B, D)."""

    mean: Tensor
    log_variance: Tensor

    def draw(self) -> Tensor:
        """A reparameterised draw z = mean + sigma * eps, (B, D)."""
        return self.mean + torch.exp(0.5 * self.log_variance) * torch.randn_like(self.mean)


class LabelMix(NamedTuple):
    """The embedding of one attribute, moved by `weight` (0..1) towards that of `value`; both are numbers."""

    attribute: int
    value: int
    weight: float


class ConditionalVAE(Network[ConditionalVaeConfig]):
    """Sohn et al. (2015) with the shared optimal variance of Rybkin et al. (2021) and a learned prior.

    Three spaces: the latent z of the decoder ("raw"); the flow's Gaussian u; and the style s that people see, u = R s,
    where the rotation R sorts directions by how much they move the picture.

    Labels are (B, A) int64; the value `attribute_sizes[a]` stands for "attribute a is left open".
    """

    family = "conditional-vae"
    Config = ConditionalVaeConfig

    rotation: Tensor
    style_visibility: Tensor
    style_limit: Tensor

    def __init__(self, config: ConditionalVaeConfig) -> None:
        super().__init__(config)
        size, embedding = config.latent_size, max(1, config.attribute_width * len(config.attribute_sizes))
        # One row more than values: the last stands for "left open".
        self.attributes = nn.ModuleList(nn.Embedding(n + 1, config.attribute_width) for n in config.attribute_sizes)
        self.encoder = PictureEncoder(config.channels, config.image_size, config.widths, config.features)
        self.posterior = nn.Sequential(
            nn.Linear(config.features + embedding, config.features), nn.SiLU(), nn.Linear(config.features, 2 * size)
        )
        self.condition = nn.Sequential(nn.Linear(size + embedding, config.features), nn.SiLU())
        self.decoder = PictureDecoder(config.features, config.channels, config.image_size, config.widths)
        # The flow has embeddings of its own, so that its stage may train while the VAE is frozen.
        self.flow = nn.ModuleDict(
            {
                "attributes": nn.ModuleList(
                    nn.Embedding(n + 1, config.attribute_width) for n in config.attribute_sizes
                ),
                "field": LatentFlow(size, embedding, config.flow_width, config.flow_layers),
            }
        )
        self.polish: Polish | None = None  # there only while a stage trains with it
        self.register_buffer("rotation", torch.eye(size))
        self.register_buffer("style_visibility", torch.ones(size))
        self.register_buffer("style_limit", torch.tensor(float(size) ** 0.5 * 1.5))

    # --- conditions -------------------------------------------------------------------------------------------------

    def open_labels(self, count: int) -> Tensor:
        """Labels (count, A) with every attribute left open."""
        sizes = torch.tensor(self.config.attribute_sizes, dtype=torch.int64, device=self.rotation.device)
        return sizes.expand(count, -1)

    def hide_labels(self, labels: Tensor) -> Tensor:
        """Labels (B, A) with some left open at random, as the network sees them in training."""
        rows = torch.rand(len(labels), 1, device=labels.device) < self.config.drop_all
        ones = torch.rand(labels.shape, device=labels.device) < self.config.drop_one
        return torch.where(rows | ones, self.open_labels(len(labels)), labels)

    @staticmethod
    def _embed(tables: nn.Module, labels: Tensor, mixes: Sequence[LabelMix] = ()) -> Tensor:
        rows = list(tables.children())
        columns = [table(labels[:, index]) for index, table in enumerate(rows)]
        for mix in mixes:
            towards = rows[mix.attribute](torch.full_like(labels[:, mix.attribute], mix.value))
            columns[mix.attribute] = torch.lerp(columns[mix.attribute], towards, mix.weight)
        if not columns:
            return torch.zeros(len(labels), 1, device=labels.device)
        return torch.cat(columns, dim=-1)

    # --- maps between pictures and spaces ---------------------------------------------------------------------------

    def encode(self, images: Tensor, labels: Tensor) -> Posterior:
        """Pictures (B, C, S, S) in 0..1 and labels (B, A) -> posterior of the latent."""
        return self._posterior(self.encoder(images), labels)

    def _posterior(self, features: Tensor, labels: Tensor) -> Posterior:
        joined = torch.cat([features, self._embed(self.attributes, labels)], dim=-1)
        mean, log_variance = self.posterior(joined).float().chunk(2, dim=-1)
        return Posterior(mean, log_variance.clamp(*LOG_VARIANCE_RANGE))

    def bounds(self, image: Tensor, labels: Tensor) -> Tensor:
        """Evidence lower bound (B,), in nats, of one picture (1, C, S, S) under each row of labels (B, A).

        The reconstruction is that of the posterior's mean instead of draws: bounds that are compared must not differ by
        chance.
        """
        posterior = self._posterior(self.encoder(image).expand(len(labels), -1), labels)
        predictions = self.decode(posterior.mean, labels).float()
        nll = torch.stack([reconstruction_nll(one, image[0], self.config.likelihood) for one in predictions])
        return -(nll * image.numel() + kl_per_dimension(*posterior).sum(1))

    def decode(self, z: Tensor, labels: Tensor, mixes: Sequence[LabelMix] = ()) -> Tensor:
        """Latents (B, D) and labels (B, A) -> pictures (B, C, S, S), about 0..1, not clamped."""
        joined = torch.cat([z, self._embed(self.attributes, labels, mixes)], dim=-1)
        return self.decoder(self.condition(joined))

    def style_to_latent(
        self,
        style: Tensor,
        labels: Tensor,
        steps: int | None = None,
        mixes: Sequence[LabelMix] = (),
        guidance: float = 1.0,
    ) -> Tensor:
        """Style s (B, D), N(0, I) on the data, -> latent z (B, D).

        Args:
            style: points.
            labels: (B, A).
            steps: of the flow; None takes the model's own number.
            mixes: applied to the labels' embeddings, one after the other.
            guidance: strength of the labels, see `engine.models.latent_flow.Guidance`; 1 follows the flow as trained.
        """
        condition = self._flow_condition(labels, mixes)
        steps = steps or self.config.flow_steps
        return self._field.to_latent(style @ self.rotation.T, condition, steps, self._guidance(len(labels), guidance))

    def latent_to_style(
        self, z: Tensor, labels: Tensor, mixes: Sequence[LabelMix] = (), guidance: float = 1.0
    ) -> Tensor:
        """Latent z (B, D) -> style s (B, D); inverse of `style_to_latent`."""
        condition = self._flow_condition(labels, mixes)
        guided = self._guidance(len(labels), guidance)
        return self._field.to_style(z, condition, self.config.flow_steps, guidance=guided) @ self.rotation

    def style_distance(self, z: Tensor, labels: Tensor) -> Tensor:
        """Distance (B,) of latents (B, D) from the centre of the style space, by a quick inverse of the flow."""
        return self._field.to_style(z, self._flow_condition(labels), self.config.flow_steps, iterations=1).norm(dim=1)

    @property
    def _field(self) -> LatentFlow:
        field = self.flow["field"]
        assert isinstance(field, LatentFlow)
        return field

    def _flow_condition(self, labels: Tensor, mixes: Sequence[LabelMix] = ()) -> Tensor:
        return self._embed(self.flow["attributes"], labels, mixes)

    def _guidance(self, count: int, strength: float) -> Guidance | None:
        # Without guidance the flow runs as it always did, to the same bytes and in half the rows.
        return None if strength == 1 else Guidance(self._flow_condition(self.open_labels(count)), strength)

    # --- training ---------------------------------------------------------------------------------------------------

    def training_loss(self, batch: Batch, moment: TrainingMoment) -> dict[str, Tensor]:
        """What the stage's name says; any other name than these three trains the VAE.

        "flow" trains the flow on latents of the frozen VAE, "features" a classifier of real pictures, and "polish" the
        decoder against that classifier's features and a discriminator. The encoder stands still in a polish, so that a
        flow trained before it stays right.
        """
        if moment.stage == "flow":
            return self._flow_loss(batch, _FLOW_DRAWS)
        if moment.stage == "features":
            features = self._polish().features
            return {"loss": features.recognition_loss(features(batch.images), self._labels(batch))}
        if moment.stage == "polish":
            return self._polish_loss(batch, moment)
        return self._vae_loss(batch, warm_up(moment.fraction, self.config.warm_up, self.config.kl_start))

    def validation_figures(self, batch: Batch) -> dict[str, Tensor]:
        """Negative ELBO per pixel value, KL, PSNR of reconstructions, and the flow's loss."""
        return {**self._vae_loss(batch, 1.0), "flow_loss": self._flow_loss(batch, 1)["loss"]}

    def _vae_loss(self, batch: Batch, beta: float) -> dict[str, Tensor]:
        labels = self.hide_labels(self._labels(batch))
        posterior = self.encode(batch.images, labels)
        prediction = self.decode(posterior.draw(), labels).float()
        nll = reconstruction_nll(prediction, batch.images, self.config.likelihood)
        kl = kl_per_dimension(*posterior)
        # Per pixel value instead of per picture: learning rates then mean the same at every size.
        values = batch.images[0].numel()
        loss = nll + beta * with_free_bits(kl, self.config.free_bits) / values
        mse = (prediction.detach() - batch.images).square().mean()
        return {"loss": loss, "nll": nll.detach(), "kl": kl.detach().sum(1).mean(), "psnr": psnr_from_mse(mse)}

    def enter_stage(self, stage: str) -> None:
        """Bring the parts that polish a decoder for the stages "features" and "polish", and drop them after those."""
        if stage not in ("features", "polish"):
            self.polish = None
        elif self.polish is None:
            made = Polish(self.config.channels, self.config.attribute_sizes)
            self.polish = made.to(device=self.rotation.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _polish(self) -> Polish:
        assert self.polish is not None, "enter_stage comes first"
        return self.polish

    def _polish_loss(self, batch: Batch, moment: TrainingMoment) -> dict[str, Tensor]:
        """Decoder and discriminator in one step, each beside the other as it stands.

        The losses are taken at the decoded picture. There each gets a weight that makes it pull as hard as the
        likelihood does, times its share in the config; the decoder then sees one joint gradient.
        """
        polish, config, real = self._polish(), self.config, batch.images
        with torch.no_grad():
            labels = self.hide_labels(self._labels(batch))
            z = self.encode(real, labels).draw()
            real_maps = polish.features(real)
        fake = self.decode(z, labels).float()
        seen = fake.detach().requires_grad_(True)
        nll = reconstruction_nll(seen, real, config.likelihood)
        maps = polish.features(seen)
        perceptual = perceptual_distance(maps, real_maps)
        recognition = polish.features.recognition_loss(maps, labels)
        adversarial = hinge_generator_loss(polish.discriminator(seen))
        (anchor,) = torch.autograd.grad(nll, seen)
        pull = anchor
        start = min(1.0, moment.fraction / _ADVERSARIAL_START)
        for share, term in (
            (config.polish_perceptual, perceptual),
            # What is recognised already needs no pull, however small its gradient.
            (config.polish_recognition * recognition.detach().clamp(max=1), recognition),
            (config.polish_adversarial * start, adversarial),
        ):
            (gradient,) = torch.autograd.grad(term, seen, retain_graph=True)
            pull = pull + share * balanced_weight(anchor, gradient) * gradient
        discriminator = hinge_discriminator_loss(polish.discriminator(real), polish.discriminator(seen.detach()))
        joint = (fake * pull).sum()
        # Its value says nothing, only its gradient does.
        loss = nll.detach() + joint - joint.detach() + discriminator
        if config.polish_r1 and moment.step % _R1_EVERY == 0:
            loss = loss + 0.5 * config.polish_r1 * _R1_EVERY * r1_penalty(polish.discriminator, real)
        return {
            "loss": loss,
            "nll": nll.detach(),
            "perceptual": perceptual.detach(),
            "recognition": recognition.detach(),
            "adversarial": adversarial.detach(),
            "discriminator": discriminator.detach(),
            "psnr": psnr_from_mse((fake.detach() - real).square().mean()),
        }

    def _flow_loss(self, batch: Batch, draws: int) -> dict[str, Tensor]:
        with torch.no_grad():
            # The convolutions are the dear part: several hidings, draws and times share one run of them.
            features = self.encoder(batch.images).repeat(draws, 1)
            labels = self.hide_labels(self._labels(batch).repeat(draws, 1))
            z = self._posterior(features, labels).draw()
        return {"loss": self._field.loss(z, self._flow_condition(labels))}

    def _labels(self, batch: Batch) -> Tensor:
        return self.open_labels(len(batch.images)) if batch.labels is None else batch.labels

    def preview(self, batch: Batch) -> Tensor:
        """Pictures, their reconstructions, and samples with the same attributes."""
        labels = self._labels(batch)
        posterior = self.encode(batch.images, labels)
        reconstructions = self.decode(posterior.mean, labels)
        style = torch.randn_like(posterior.mean)
        samples = self.decode(self.style_to_latent(style, labels), labels)
        return torch.cat([batch.images, reconstructions, samples]).clamp(0, 1)

    def finish(self, batches: Iterable[Batch], card: ModelCard) -> ModelCard:
        """Measure both slider spaces: KL and range per latent dimension, rotation and limits of the style space."""
        means, kls, distances, labels = [], [], [], []
        for batch in batches:
            hidden = self.hide_labels(self._labels(batch))
            posterior = self.encode(batch.images, hidden)
            means.append(posterior.mean)
            kls.append(kl_per_dimension(*posterior))
            if len(distances) * len(hidden) < _INVERTED:
                distances.append(self.style_distance(posterior.draw(), hidden))
            labels.append(hidden)
        low, high = quantiles(torch.cat(means))
        kl = torch.cat(kls).mean(0)
        self.style_limit.copy_(torch.quantile(torch.cat(distances), 0.99))
        self._rotate(torch.cat(labels)[:_JACOBIAN_STYLES])
        dimensions = tuple(
            LatentDimension(index=index, importance=float(kl[index]), low=float(low[index]), high=float(high[index]))
            for index in range(self.config.latent_size)
        )
        return card.model_copy(update={"latent_dimensions": dimensions})

    def _rotate(self, labels: Tensor) -> None:
        self.rotation.copy_(torch.eye(self.config.latent_size))

        def decode(styles: Tensor) -> Tensor:
            return self.decode(self.style_to_latent(styles, labels), labels).clamp(0, 1)

        styles = torch.randn(len(labels), self.config.latent_size, device=labels.device)
        rotation, visibility = principal_moves(decode, styles)
        self.rotation.copy_(rotation)
        self.style_visibility.copy_(visibility)
