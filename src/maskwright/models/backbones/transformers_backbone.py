"""Backbones of the transformers library with our interface: Swin, and the vision transformer of DPT. Knows no task.

Liu et al. 2021, "Swin Transformer", and Ranftl, Bochkovskiy, Koltun 2021, "Vision Transformers for Dense Prediction":
this file holds the transformer of DPT and the step that reassembles its tokens into maps of four strides.

Both need imported weights: `config` is the description (see `models.weights.transformers_config`) that an import
writes. Swin pads the windows at the border of each map with zeros, whatever the size. DPT's position embeddings belong
to one size and are interpolated to any other, so its masks equal the paper's at the size it was trained on and are
close to them elsewhere. The library's own model accepts square images only; ours accepts any size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from maskwright.core.errors import MaskwrightError
from maskwright.models.backbones.base import Backbone, load_backbone
from maskwright.models.layers.norm import convert_batch_norm
from maskwright.models.weights.transformers_config import build_config, explain_build_errors, import_library

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

NAME = "transformers"
_HERE = f"the backbone {NAME}"
_NONE: dict[str, Any] = {}


class LibraryBackbone(Backbone):
    """A network of the library.

    Args:
        network: of the library.
        settings: the library's configuration, for decoders to read.
        in_channels: of the image.
        channels, reductions: see `Backbone`.
    """

    normalised = False
    settled = True  # its strides cannot be changed

    def __init__(
        self, network: nn.Module, settings: Any, in_channels: int, channels: Sequence[int], reductions: Sequence[int]
    ) -> None:
        super().__init__(in_channels, channels, reductions)
        self.network = network
        self.settings = settings

    def set_gradient_checkpointing(self, enable: bool) -> None:
        """Keep only the input of each block, and recompute the rest in the backward pass."""
        network = cast("Any", self.network)
        if enable:
            network.activation_checkpointing_enable()
        else:
            network.activation_checkpointing_disable()


class Swin(LibraryBackbone):
    """The maps of Swin's stages, each normalised.

    Args:
        swin: the library's configuration of it.
    """

    def __init__(self, swin: Any) -> None:
        network = import_library().SwinBackbone(swin)
        stages = [swin.stage_names.index(name) for name in swin.out_features]
        if not stages or stages[0] == 0:
            raise MaskwrightError(f"{_HERE}: out_features is {swin.out_features}, but must name stages, without a stem")
        reductions = [swin.patch_size * 2 ** (stage - 1) for stage in stages]
        super().__init__(network, swin, swin.num_channels, network.channels, reductions)

    def fitted(self, length: int) -> int:
        """Return the smallest length that every stage divides, including stages that return no map."""
        swin = cast("Any", self.network).config
        return length + -length % (swin.patch_size * 2 ** (len(swin.depths) - 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W)."""
        return list(self.network(x).feature_maps)


class Dpt(LibraryBackbone):
    """DPT's transformer, whose tokens become maps: read out, projected, and resized to one stride each."""

    def __init__(self, settings: Any) -> None:
        from transformers.models.dpt.modeling_dpt import DPTReassembleStage

        reductions = [round(settings.patch_size / factor) for factor in settings.reassemble_factors]
        widths, blocks = settings.neck_hidden_sizes, settings.backbone_out_indices
        if not (reductions == sorted(reductions) and len(reductions) == len(widths) == len(blocks)):
            raise MaskwrightError(
                f"{_HERE}: reassemble_factors {list(settings.reassemble_factors)} must decrease, one for each of "
                f"neck_hidden_sizes {list(widths)} and backbone_out_indices {list(blocks)}"
            )
        network = import_library().DPTModel(settings, add_pooling_layer=False)
        super().__init__(network, settings, settings.num_channels, widths, reductions)
        self.reassemble = DPTReassembleStage(settings)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the pyramid of `x` (N, C, H, W)."""
        tokens = self.network(x, output_hidden_states=True).hidden_states[1:]  # the first are the patches themselves
        chosen = [tokens[block] for block in sorted(self.settings.backbone_out_indices)]
        height, width = (length // self.settings.patch_size for length in x.shape[2:])
        return list(self.reassemble(chosen, height, width))


def build(in_channels: int, weights: Path | None = None, *, config: dict[str, Any] = _NONE) -> LibraryBackbone:
    """Build a backbone of the library.

    Args:
        in_channels: of the image; must equal the number in the description.
        weights: safetensors file of such a backbone's weights, to start from.
        config: description of the network, of type swin or dpt.

    Raises:
        MaskwrightError: the library is not installed, no network can be built from the description, or the weights do
            not fit.
    """
    settings = build_config(config, _HERE)
    kind = config["model_type"]
    with explain_build_errors(kind, _HERE):
        if kind == "dpt":
            network: LibraryBackbone = Dpt(settings)
        else:
            network = Swin(settings)
    if network.in_channels != in_channels:
        raise MaskwrightError(
            f"{_HERE} is described for images of {network.in_channels} channels, not {in_channels}: leave "
            "data.channels out"
        )
    convert_batch_norm(network)
    if weights is not None:
        load_backbone(network, weights)
    return network


def described(backbone: Backbone, kind: str) -> Any:
    """Return the library's configuration of a backbone whose description has the type `kind`.

    Raises:
        MaskwrightError: another backbone.
    """
    settings = getattr(backbone, "settings", None)
    if not isinstance(backbone, LibraryBackbone) or getattr(settings, "model_type", None) != kind:
        raise MaskwrightError(
            f"{kind} needs {_HERE} with its own type of description: start from an imported model with `from_run`, and "
            "leave model.backbone out"
        )
    return settings
