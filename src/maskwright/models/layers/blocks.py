"""The convolution blocks that decoders and backbones are built from, and how they start. Knows no architecture."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from maskwright.models.layers.norm import BatchNorm2d


class ConvNormAct(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU; padding keeps the size at stride 1.

    Args:
        inputs, outputs: channels.
        kernel: side of the kernel, odd.
        stride, dilation, groups: of the convolution.
        act: append the ReLU.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        padding = dilation * (kernel // 2)
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False),
            BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *([nn.ReLU(inplace=True)] if act else []))


class ConvAct(nn.Sequential):
    """Convolution with bias and ReLU, as before batch normalisation; padding keeps the size.

    Args:
        inputs, outputs: channels.
        kernel: side of the kernel, odd.
        dilation: of the convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, *, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation),
            nn.ReLU(inplace=True),
        )


class SeparableConv(nn.Sequential):
    """Depthwise 3x3 convolution, then pointwise 1x1, each with batch normalisation and ReLU (Chollet 2017).

    The order, with an activation after both halves, is DeepLabV3+'s (Chen et al. 2018, section 3.2).

    Args:
        inputs, outputs: channels.
        dilation: of the depthwise half.
    """

    def __init__(self, inputs: int, outputs: int, *, dilation: int = 1) -> None:
        super().__init__(
            ConvNormAct(inputs, inputs, 3, dilation=dilation, groups=inputs),
            ConvNormAct(inputs, outputs, 1),
        )


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring `x` (N, C, H, W) to (N, C, *size), bilinearly, corners not aligned; a map that fits is returned as is."""
    if (x.shape[2], x.shape[3]) == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def height_width(x: Tensor) -> tuple[int, int]:
    """Return (H, W) of `x` (N, C, H, W)."""
    return x.shape[2], x.shape[3]


def initialise(module: nn.Module) -> None:
    """Draw convolution weights as He et al. 2015 (equation 14, fan out), set biases to 0 and norms to the identity."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
