"""The catalog: every architecture by name. `build` makes them.

A new architecture is a file in `decoders/` with a `build(backbone, classes, dropout, *, options)`, and one entry here;
one that emits objects is a file in `objects/`, with its entry in `objects.catalog`; one that is grown from pixels is a
file in `pixels/`, with its entry in `pixels.catalog`.
"""

from __future__ import annotations

from functools import partial

from maskwright.core.errors import unknown_name
from maskwright.models.decoders import (
    cnn,
    crisp,
    deeplabv1,
    deeplabv2,
    deeplabv3,
    deeplabv3plus,
    dpt,
    fcn,
    fcn_skips,
    fpn,
    hed,
    lraspp,
    pidinet,
    ppliteseg,
    pspnet,
    renet,
    reseg,
    segformer,
    swiftnet,
    unet,
    unetplusplus,
    upernet,
)
from maskwright.models.entry import ModelEntry
from maskwright.models.objects.catalog import OBJECT_MODELS
from maskwright.models.pixels.catalog import PIXEL_MODELS

__all__ = ["IMPORTED", "MODELS", "OBJECT_MODELS", "PIXEL_MODELS", "ModelEntry", "find_model"]

MODELS: dict[str, ModelEntry] = {
    "swiftnet": ModelEntry(
        swiftnet.build,
        "Orsic et al., In Defense of Pre-trained ImageNet Architectures",
        2019,
        "https://arxiv.org/abs/1903.08469",
        "compact",
        "light decoder with spatial pyramid pooling: fast on a CPU, our default",
        averages=True,
    ),
    "unet": ModelEntry(
        unet.build,
        "Ronneberger et al., U-Net",
        2015,
        "https://arxiv.org/abs/1505.04597",
        "compact",
        "skips by concatenation, up to full resolution: fine structures, few images",
        slim={"finest": 2},
    ),
    "unet2015": ModelEntry(
        partial(unet.build, channels=(512, 256, 128, 64), layout="paper"),
        "Ronneberger et al., U-Net",
        2015,
        "https://arxiv.org/abs/1505.04597",
        "unet",
        "the original network, contracting path of 64 to 1024 channels: 31 million weights, slow on a CPU",
        slim={"base": 16, "channels": [128, 64, 32, 16], "norm": True},
    ),
    "unet++": ModelEntry(
        unetplusplus.build,
        "Zhou et al., UNet++",
        2018,
        "https://arxiv.org/abs/1807.10165",
        "compact",
        "nested dense skips, optional deep supervision: a finer and slower U-Net",
        slim={"finest": 2},
    ),
    "attention_unet": ModelEntry(
        partial(unet.build, attention=True),
        "Oktay et al., Attention U-Net",
        2018,
        "https://arxiv.org/abs/1804.03999",
        "compact",
        "U-Net with attention gates on its skips: small objects in large images",
        slim={"finest": 2},
    ),
    "deeplabv3": ModelEntry(
        deeplabv3.build,
        "Chen et al., Rethinking Atrous Convolution",
        2017,
        "https://arxiv.org/abs/1706.05587",
        "resnet18",
        "context from dilated convolutions and the whole image; can predict at a finer stride than trained",
        backbone_options={"output_stride": 16, "multi_grid": (1, 2, 4)},
        averages=True,
    ),
    "deeplabv3plus": ModelEntry(
        deeplabv3plus.build,
        "Chen et al., Encoder-Decoder with Atrous Separable Convolution",
        2018,
        "https://arxiv.org/abs/1802.02611",
        "resnet18",
        "context from dilated convolutions, with a small decoder: strong with pretrained weights",
        backbone_options={"output_stride": 16},
        averages=True,
    ),
    "pspnet": ModelEntry(
        pspnet.build,
        "Zhao et al., Pyramid Scene Parsing Network",
        2017,
        "https://arxiv.org/abs/1612.01105",
        "resnet18",
        "context from averages over grids, at stride 8: scenes with large regions",
        backbone_options={"output_stride": 8},
        averages=True,
    ),
    "fcn": ModelEntry(
        fcn.build,
        "Long et al., Fully Convolutional Networks",
        2015,
        "https://arxiv.org/abs/1411.4038",
        "resnet18",
        "dilated backbone and a classifier, at stride 8: the baseline",
        backbone_options={"output_stride": 8},
    ),
    "segformer": ModelEntry(
        segformer.build,
        "Xie et al., SegFormer",
        2021,
        "https://arxiv.org/abs/2105.15203",
        "mit",
        "transformer pyramid and a decoder of linear layers: strong with pretrained weights",
        slim={"depths": [1, 1, 1, 1], "width": 64},
    ),
    "upernet": ModelEntry(
        upernet.build,
        "Xiao et al., Unified Perceptual Parsing",
        2018,
        "https://arxiv.org/abs/1807.10221",
        "compact",
        "pyramid pooling, feature pyramid and fusion: the usual decoder for Swin and ConvNeXt",
        averages=True,
    ),
    "fpn": ModelEntry(
        fpn.build,
        "Kirillov et al., Panoptic Feature Pyramid Networks",
        2019,
        "https://arxiv.org/abs/1901.02446",
        "compact",
        "sum of a feature pyramid's levels: light, for any backbone, no batch statistics in the decoder",
    ),
    "lraspp": ModelEntry(
        lraspp.build,
        "Howard et al., Searching for MobileNetV3",
        2019,
        "https://arxiv.org/abs/1905.02244",
        "compact",
        "a gate and two classifiers: the lightest decoder, for phones",
        backbone_options={"output_stride": 16},
        averages=True,
    ),
    "cnn": ModelEntry(
        cnn.build,
        "Badrinarayanan et al., SegNet (SegNet-Basic)",
        2015,
        "https://arxiv.org/abs/1511.00561",
        "plain",
        "plain encoder-decoder without skips: a baseline that shows what skips are worth",
    ),
    **{
        f"fcn{stride}s": ModelEntry(
            partial(fcn_skips.build, stride),
            "Long et al., Fully Convolutional Networks",
            2015,
            "https://arxiv.org/abs/1411.4038",
            "vgg16_narrow",
            f"fully convolutional VGG-16, scores down to stride {stride}: {what}",
            {"fully": True},
        )
        for stride, what in ((32, "coarse"), (16, "one skip"), (8, "two skips, the classic"))
    },
    "deeplabv1": ModelEntry(
        deeplabv1.build,
        "Chen et al., Semantic Segmentation with Deep Nets and Fully Connected CRFs",
        2015,
        "https://arxiv.org/abs/1412.7062",
        "vgg16_narrow",
        "LargeFOV: one atrous convolution of rate 12 on VGG-16 at stride 8; use it with a dense CRF",
        backbone_options={"output_stride": 8},
    ),
    "deeplabv2": ModelEntry(
        deeplabv2.build,
        "Chen et al., DeepLab: Atrous Convolution and Fully Connected CRFs",
        2017,
        "https://arxiv.org/abs/1606.00915",
        "vgg16_narrow",
        "sum of atrous convolutions of four rates, on the image at three scales; use it with a CRF",
        backbone_options={"output_stride": 8},
    ),
    "ppliteseg": ModelEntry(
        ppliteseg.build,
        "Peng et al., PP-LiteSeg",
        2022,
        "https://arxiv.org/abs/2204.02681",
        "stdc1",
        "real time on a CPU: levels blended by attention, on a backbone of dense convolutions",
        slim={"base": 32},
        averages=True,
    ),
    "crisp": ModelEntry(
        crisp.build,
        "Wang et al., Deep Crisp Boundaries",
        2017,
        "https://openaccess.thecvf.com/content_cvpr_2017/html/Wang_Deep_Crisp_Boundaries_CVPR_2017_paper.html",
        "compact",
        "edges from coarse to fine, with a side output at every scale: for the task edges",
    ),
    "hed": ModelEntry(
        hed.build,
        "Xie and Tu, Holistically-Nested Edge Detection",
        2015,
        "https://arxiv.org/abs/1504.06375",
        "vgg16_narrow",
        "a score of each stage of VGG-16, fused: the classic for edges",
        backbone_options={"unpooled": True},
    ),
    "pidinet": ModelEntry(
        pidinet.build,
        "Su et al., Pixel Difference Networks",
        2021,
        "https://arxiv.org/abs/2108.07009",
        "pidinet",
        "differences of pixels, and side outputs at full resolution: edges without pretrained weights",
        slim={"base": 12},
    ),
    "reseg": ModelEntry(
        reseg.build,
        "Visin et al., ReSeg",
        2016,
        "https://arxiv.org/abs/1511.07053",
        "compact",
        "recurrent layers that sweep the features in four directions: context from the whole image",
        backbone_options={"levels": 3},
        own={"widths": (64, 128), "depths": (2, 2)},
    ),
    "renet": ModelEntry(
        renet.build,
        "Visin et al., ReNet",
        2015,
        "https://arxiv.org/abs/1505.00393",
        "patches",
        "recurrent layers directly on pixel patches, no convolution: for comparison",
        backbone_options={"patch": 4},
        slim={"patch": 8},
    ),
}

IMPORTED: dict[str, ModelEntry] = {
    "dpt": ModelEntry(
        dpt.build,
        "Ranftl et al., Vision Transformers for Dense Prediction",
        2021,
        "https://arxiv.org/abs/2103.13413",
        "transformers",
        "a vision transformer's maps, fused from coarse to fine",
    ),
}
"""Architectures that come only with imported weights, on another library's network: not offered for new trainings."""


def find_model(name: str) -> ModelEntry:
    """Look up an architecture, including those that come only with imported weights.

    Raises:
        MaskwrightError: no table has the name.
    """
    entry = {**MODELS, **OBJECT_MODELS, **PIXEL_MODELS, **IMPORTED}.get(name)
    if entry is None:
        raise unknown_name("model", name, {**MODELS, **OBJECT_MODELS, **PIXEL_MODELS})
    return entry
