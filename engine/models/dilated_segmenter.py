"""DilatedSegmenter: labels every pixel with a small network whose wide view comes from dilated convolutions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers.convolution import ConvNormActivation, DilatedBlock
from engine.layers.folding import fold_batch_norms
from engine.losses.segmentation import IGNORE, lovasz_softmax, weighted_cross_entropy
from engine.models.card import ModelCard, SegmentationClass
from engine.models.network import Batch, Network, TrainingMoment

NUCLEUS_CLASSES = (
    SegmentationClass(name="background", color=(24, 26, 32)),
    SegmentationClass(name="nucleus", color=(64, 196, 255)),
    SegmentationClass(name="touching border", color=(255, 176, 32)),
)
"""What a network trained on instance numbers tells apart: outside, inside, and where two objects meet."""

Rates = Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], Field(min_length=1, max_length=8)]
Widths = Annotated[int, Field(ge=4, le=512)]


class DilatedSegmenterConfig(BaseModel):
    """Shape and loss of a `DilatedSegmenter`.

    Attributes:
        class_count: classes of the mask; 3 where `instances` is set.
        instances: masks hold instance numbers (0 = background) and the classes are `NUCLEUS_CLASSES`.
        border_radius: with `instances`, an object's pixel is border where another object lies within this Chebyshev
            distance.
        widths: channels at strides 2, 4, 8 and in the context stage.
        depths: residual blocks at strides 4 and 8.
        output_stride: stride of the context stage, 8 or 16.
        rates: dilation rates of the context stage, one tuple of parallel rates per block, in pixels of that stage.
        decoder_width: channels of the decoder.
        decoder_stride: stride of the logits before they are enlarged to the picture, 2 or 4.
        class_weights: factor per class in the cross entropy; empty weighs all alike.
        lovasz: weight of the Lovász-softmax loss beside the cross entropy.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_count: int = Field(default=3, ge=2, le=254)
    instances: bool = False
    border_radius: int = Field(default=1, ge=1, le=8)
    widths: tuple[Widths, Widths, Widths, Widths] = (24, 48, 96, 128)
    depths: tuple[Annotated[int, Field(ge=0, le=16)], Annotated[int, Field(ge=0, le=16)]] = (1, 2)
    output_stride: Literal[8, 16] = 8
    rates: Annotated[tuple[Rates, ...], Field(min_length=1, max_length=32)] = (
        (1, 2),
        (1, 2),
        (1, 4),
        (1, 4),
        (1, 2, 8),
        (1, 2, 8),
    )
    decoder_width: Widths = 48
    decoder_stride: Literal[2, 4] = 2
    class_weights: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = ()
    lovasz: float = Field(default=0.5, ge=0, le=100)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.instances and self.class_count != len(NUCLEUS_CLASSES):
            raise ValueError(f"instances = true means {len(NUCLEUS_CLASSES)} classes, not {self.class_count}")
        if self.class_weights and len(self.class_weights) != self.class_count:
            raise ValueError(f"class_weights has {len(self.class_weights)} values for {self.class_count} classes")
        return self


def picture_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each picture over all channels and pixels, each (B, 1, 1, 1).

    Args:
        images: (B, C, H, W) in 0..1.
    """
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    deviation = (images - mean).square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return mean, deviation


def border_classes(instances: Tensor, radius: int) -> Tensor:
    """Classes 0 outside, 1 inside, 2 touching border from instance numbers.

    Args:
        instances: (B, H, W) integers; 0 = background, negative = ignore.
        radius: a pixel of an object is border where a pixel of another object lies within this Chebyshev distance.

    Returns:
        (B, H, W) int64, `IGNORE` where the input is negative.
    """
    # Pooling needs floats; float32 holds every integer below 2^24, far more objects than a picture has.
    numbers = instances.clamp(min=0).float().unsqueeze(1)
    side = 2 * radius + 1
    highest = F.max_pool2d(numbers, side, 1, radius)
    absent = 2.0**24
    lowest = -F.max_pool2d(torch.where(numbers > 0, -numbers, -absent), side, 1, radius)
    inside = numbers > 0
    border = inside & (highest != lowest)
    return (inside.long() + border.long()).squeeze(1).masked_fill(instances < 0, IGNORE)


class Encoder(nn.Module):
    """Pictures to features at strides 2, 4 and `output_stride`; the last stage sees far by dilation, not by stride."""

    def __init__(self, config: DilatedSegmenterConfig) -> None:
        super().__init__()
        half, quarter, eighth, context = config.widths
        self.stem = nn.Sequential(ConvNormActivation(3, half, 3, stride=2), ConvNormActivation(half, half, 3))
        self.stage4 = nn.Sequential(
            ConvNormActivation(half, quarter, 3, stride=2),
            *(DilatedBlock(quarter, quarter, (1,)) for _ in range(config.depths[0])),
        )
        self.stage8 = nn.Sequential(
            DilatedBlock(quarter, eighth, (1,), stride=2),
            *(DilatedBlock(eighth, eighth, (1,)) for _ in range(config.depths[1])),
        )
        stride = config.output_stride // 8
        self.context = nn.Sequential(
            *(
                DilatedBlock(context if index else eighth, context, rates, stride=1 if index else stride)
                for index, rates in enumerate(config.rates)
            )
        )

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> features (B, widths[0], H/2, W/2), (B, widths[1], H/4, W/4), (B, widths[3], H/os, W/os)."""
        half = self.stem(pictures)
        quarter = self.stage4(half)
        return half, quarter, self.context(self.stage8(quarter))


class Decoder(nn.Module):
    """Brings the context back to `decoder_stride`, adding the fine features of the encoder on the way up."""

    def __init__(self, config: DilatedSegmenterConfig) -> None:
        super().__init__()
        half, quarter, _, context = config.widths
        width = config.decoder_width
        self.from_context = ConvNormActivation(context, width, 1)
        self.from_quarter = ConvNormActivation(quarter, width, 1)
        self.at_quarter = ConvNormActivation(width, width, 3, kind="separable")
        narrow = max(4, width // 2)
        self.to_half = ConvNormActivation(width, narrow, 1) if config.decoder_stride == 2 else None
        self.from_half = ConvNormActivation(half, narrow, 1) if config.decoder_stride == 2 else None
        self.at_half = ConvNormActivation(narrow, narrow, 3) if config.decoder_stride == 2 else None

    def forward(self, half: Tensor, quarter: Tensor, context: Tensor) -> Tensor:
        """Features of the encoder -> (B, width, H / decoder_stride, W / decoder_stride)."""
        features = self.at_quarter(enlarge(self.from_context(context), quarter) + self.from_quarter(quarter))
        if self.to_half is None or self.from_half is None or self.at_half is None:
            return features
        return self.at_half(enlarge(self.to_half(features), half) + self.from_half(half))


def enlarge(features: Tensor, like: Tensor) -> Tensor:
    """Bilinear enlargement to the height and width of `like`."""
    return F.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)


class DilatedSegmenter(Network[DilatedSegmenterConfig]):
    """Encoder with dilated context stage, light decoder, 1x1 classifier.

    There is no pooling over the picture, no attention and no instance norm, so large pictures can be labelled in tiles.
    What depends on the whole picture, its mean and spread of brightness, is taken beforehand and handed to every tile.
    """

    family = "dilated-segmenter"
    Config = DilatedSegmenterConfig

    def __init__(self, config: DilatedSegmenterConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        width = config.decoder_width if config.decoder_stride == 4 else max(4, config.decoder_width // 2)
        self.classifier = nn.Conv2d(width, config.class_count, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]

    def coarse_logits(self, images: Tensor, statistics: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Class scores before they are enlarged to the picture.

        Args:
            images: (B, 3 or 1, H, W) in 0..1; H and W any size from 1.
            statistics: `picture_statistics` of the whole pictures where `images` are tiles of them.

        Returns:
            (B, class_count, ceil(H / decoder_stride), ceil(W / decoder_stride)).
        """
        if images.shape[1] == 1:
            images = images.expand(-1, 3, -1, -1)
        mean, deviation = picture_statistics(images) if statistics is None else statistics
        # The floor keeps sensor noise of an empty dark picture from being blown up to full contrast.
        pictures = (images - mean) / (deviation + 0.02)
        return self.classifier(self.decoder(*self.encoder(pictures)))

    def forward(self, images: Tensor, statistics: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Logits (B, class_count, H, W) of pictures (B, 3 or 1, H, W) in 0..1; see `coarse_logits`."""
        return enlarge(self.coarse_logits(images, statistics), images)

    def folded(self) -> DilatedSegmenter:
        """A copy for inference, batch norms folded into the convolutions."""
        return fold_batch_norms(self)

    def targets(self, masks: Tensor) -> Tensor:
        """Class numbers (B, H, W) to learn from the masks of a batch; numbers that are no class become `IGNORE`."""
        if self.config.instances:
            return border_classes(masks, self.config.border_radius)
        return masks.masked_fill((masks < 0) | (masks >= self.config.class_count), IGNORE)

    def training_loss(self, batch: Batch, moment: TrainingMoment) -> dict[str, Tensor]:
        """ "loss" = "cross_entropy" + config.lovasz * "lovasz" on a batch with masks."""
        logits, target = self._logits_and_target(batch)
        return self._loss(logits, target)

    def validation_figures(self, batch: Batch) -> dict[str, Tensor]:
        """The loss terms, "miou" over the classes present and, with instances, "dice" of the foreground."""
        logits, target = self._logits_and_target(batch)
        figures = self._loss(logits, target)
        known = target != IGNORE
        predicted, truth = logits.argmax(1)[known], target[known]
        count = self.config.class_count
        matrix = torch.bincount(truth * count + predicted, minlength=count * count).view(count, count).double()
        hits = matrix.diagonal()
        union = matrix.sum(0) + matrix.sum(1) - hits
        present = matrix.sum(1) > 0
        figures["miou"] = (hits / union.clamp(min=1))[present].mean() if bool(present.any()) else matrix.new_zeros(())
        if self.config.instances:
            both = matrix[1:, 1:].sum()
            total = matrix[1:].sum() + matrix[:, 1:].sum()
            figures["dice"] = 2 * both / total if total > 0 else matrix.new_ones(())
        return {name: value.float() for name, value in figures.items()}

    @torch.no_grad()
    def preview(self, batch: Batch) -> Tensor | None:
        """Rows of picture, truth and prediction in class colours: (3 N, 3, H, W) for at most four pictures."""
        if batch.masks is None:
            return None
        batch = Batch(batch.images[:4], None, batch.masks[:4])
        logits, target = self._logits_and_target(batch)
        colors = _palette(self.config, logits.device)
        known = (target != IGNORE).unsqueeze(1)
        truth = colors[target.clamp(max=self.config.class_count - 1)].movedim(-1, 1) * known
        predicted = colors[logits.argmax(1)].movedim(-1, 1)
        pictures = batch.images.expand(-1, 3, -1, -1)
        return torch.stack([pictures, truth, predicted], dim=1).flatten(0, 1)

    def finish(self, batches: Iterable[Batch], card: ModelCard) -> ModelCard:
        """Names the classes where the network made them itself, and writes down how far it sees."""
        updates: dict[str, object] = {
            "notes": {
                **card.notes,
                "rates": [list(rates) for rates in self.config.rates],
                "output_stride": self.config.output_stride,
            }
        }
        if self.config.instances:
            updates["classes"] = NUCLEUS_CLASSES
        return card.model_copy(update=updates)

    def _logits_and_target(self, batch: Batch) -> tuple[Tensor, Tensor]:
        if batch.masks is None:
            raise ValueError("a segmentation network learns from pictures with masks")
        return self(batch.images), self.targets(batch.masks)

    def _loss(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        logits = logits.float()
        terms = {"cross_entropy": weighted_cross_entropy(logits, target, self.config.class_weights or None)}
        loss = terms["cross_entropy"]
        if self.config.lovasz > 0:
            terms["lovasz"] = lovasz_softmax(logits, target)
            loss = loss + self.config.lovasz * terms["lovasz"]
        return {"loss": loss, **terms}


def _palette(config: DilatedSegmenterConfig, device: torch.device) -> Tensor:
    """Colours (class_count, 3) in 0..1 for previews: the card's own where the network names them, else spread hues."""
    if config.instances:
        return torch.tensor([entry.color for entry in NUCLEUS_CLASSES], device=device) / 255.0
    hue = torch.arange(config.class_count, device=device) / config.class_count
    phase = torch.tensor([0.0, 1.0, 2.0], device=device) / 3.0
    return 0.5 + 0.5 * torch.cos(2 * torch.pi * (hue.unsqueeze(1) + phase))
