"""The names of segmentation_models.pytorch's tensors and ours, as tables of `naming`. Knows no settings."""

from __future__ import annotations

HEAD = {"segmentation_head.0.": "head.1."}
UNET = {
    "decoder.blocks.{n}.conv1.": "decoder.blocks.{n}.0.",
    "decoder.blocks.{n}.conv2.": "decoder.blocks.{n}.1.",
}
# x_D_L is on the diagonal that starts at skip L, counted from the coarsest, D steps in from the outermost.
UNETPLUSPLUS = {
    f"decoder.blocks.x_{depth}_{layer}.conv{half + 1}.": f"decoder.blocks.{3 - layer}_{layer - depth + 1}.{half}."
    for layer in range(4)
    for depth in range(layer + 1)
    for half in range(2)
} | {f"decoder.blocks.x_0_4.conv{half + 1}.": f"decoder.finish.0.{half}." for half in range(2)}
DEEPLABV3PLUS = {
    "decoder.aspp.0.convs.0.": "decoder.pooling.branches.0.",
    **{
        f"decoder.aspp.0.convs.{branch}.{theirs}.": f"decoder.pooling.branches.{branch}.{ours}."
        for branch in (1, 2, 3)
        for theirs, ours in (("0.0", "0.0"), ("0.1", "1.0"), ("1", "1.1"))
    },
    "decoder.aspp.0.convs.4.1.": "decoder.pooling.image.0.",
    "decoder.aspp.0.convs.4.2.": "decoder.pooling.image.1.",
    "decoder.aspp.0.project.": "decoder.pooling.project.",
    "decoder.aspp.1.0.": "decoder.refine.0.0.",
    "decoder.aspp.1.1.": "decoder.refine.1.0.",
    "decoder.aspp.2.": "decoder.refine.1.1.",
    "decoder.block1.": "decoder.reduce.",
    "decoder.block2.0.0.": "decoder.blend.0.0.0.",
    "decoder.block2.0.1.": "decoder.blend.0.1.0.",
    "decoder.block2.1.": "decoder.blend.0.1.1.",
}
FPN = {
    "decoder.p5.": "decoder.laterals.3.",
    **{f"decoder.p{level + 2}.skip_conv.": f"decoder.laterals.{level}." for level in range(3)},
    **{
        f"decoder.seg_blocks.{3 - level}.block.{step}.block.{part}.": f"decoder.climbs.{level}.{4 * step + part}."
        for level in range(4)
        for step in range(max(level, 1))
        for part in range(2)
    },
}
UPERNET = {
    "decoder.feature_norms.{n}.": "decoder.norms.{n}.",
    "decoder.psp.blocks.{n}.1.": "decoder.pooling.branches.{n}.",
    "decoder.psp.out_conv.": "decoder.bottleneck.",
    **{f"decoder.fpn_lateral_blocks.{2 - level}.conv_norm_relu.": f"decoder.laterals.{level}." for level in range(3)},
    **{f"decoder.fpn_conv_blocks.{2 - level}.": f"decoder.blends.{level}." for level in range(3)},
    "decoder.fusion_block.": "decoder.fuse.",
}
FUSE = "decoder.fuse_stage.0.weight"
SEGFORMER = {
    **{f"decoder.mlp_stage.{3 - level}.linear.": f"decoder.linears.{level}." for level in range(4)},
    FUSE: FUSE,
    "decoder.fuse_stage.1.": "decoder.norm.",
}
MIT = {
    theirs.format(stage + 1): f"backbone.stages.{stage}.{ours}"
    for stage in range(4)
    for theirs, ours in {
        "encoder.patch_embed{}.proj.": "embedding.project.",
        "encoder.patch_embed{}.norm.": "embedding.norm.",
        "encoder.block{}.{{n}}.norm": "blocks.{n}.norm",
        "encoder.block{}.{{n}}.attn.q.": "blocks.{n}.attention.query.",
        "encoder.block{}.{{n}}.attn.kv.": "blocks.{n}.attention.key_value.",
        "encoder.block{}.{{n}}.attn.sr.": "blocks.{n}.attention.shorten.",
        "encoder.block{}.{{n}}.attn.norm.": "blocks.{n}.attention.norm.",
        "encoder.block{}.{{n}}.attn.proj.": "blocks.{n}.attention.project.",
        "encoder.block{}.{{n}}.mlp.fc1.": "blocks.{n}.ffn.expand.",
        "encoder.block{}.{{n}}.mlp.dwconv.dwconv.": "blocks.{n}.ffn.mix.",
        "encoder.block{}.{{n}}.mlp.fc2.": "blocks.{n}.ffn.reduce.",
        "encoder.norm{}.": "norm.",
    }.items()
}
