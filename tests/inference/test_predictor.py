"""Prediction: tiles agree with one pass, every image size and dtype works, numbers follow from the card."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from torch import nn

from maskwright import models
from maskwright.core.classes import IGNORE, Classes
from maskwright.core.errors import MaskwrightError
from maskwright.core.instances import Instances
from maskwright.core.plan import DataPlan, ModelPlan, PredictPlan
from maskwright.inference import Prediction, Predictor, TorchEngine
from maskwright.models import bundle
from maskwright.models.backbones.dilation import STRIDES
from maskwright.models.bundle import Card, CardClasses
from maskwright.models.segmenter import Segmenter
from maskwright.ops.images import prepare
from maskwright.ops.tiles import cover
from maskwright.postprocess.dense_crf import DenseCrf
from maskwright.tasks.panoptic_map import PanopticMap

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Make


def photo(height: int = 150, width: int = 170, channels: int = 3) -> np.ndarray:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, channels), np.uint8)
    return cv2.GaussianBlur(pixels, (0, 0), 2).reshape(height, width, channels)


def direct(net: nn.Module, image: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The whole image in one pass, written out anew."""
    pixels = torch.from_numpy(prepare(image, DataPlan())).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        return (net((pixels - 127.5) / 64.0) / temperature).softmax(1)[0].numpy()


class Passing(nn.Module):
    """Logits that are the pixels: what goes in comes out."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 3


def test_one_pass_is_the_network_and_nothing_else(make: Make, small_net: nn.Module) -> None:
    image = photo()
    predictor = make(small_net, tile=(256, 256))
    np.testing.assert_allclose(predictor.maps(image), direct(small_net, image), atol=1e-6)
    np.testing.assert_array_equal(predictor.result(image).labels, direct(small_net, image).argmax(0))


def test_tiles_agree_with_one_pass(make: Make, small_net: nn.Module) -> None:
    image, tile = photo(), 64
    tiled = make(small_net, tile=(tile, tile), overlap=0.25).maps(image)
    whole = direct(small_net, image)
    rows, columns = cover(150, tile, 0.25), cover(170, tile, 0.25)
    assert min(len(rows), len(columns)) > 2
    # A pixel whose two neighbours all around lie in every tile that holds it has seen the same as in one pass.
    exact = np.ones((150, 170), bool)
    for start in rows.starts:
        exact[max(start, 2) - 2 : start + 2] &= start == 0
        exact[start + tile - 2 : start + tile + 2] &= start + tile == 150
    for start in columns.starts:
        exact[:, max(start, 2) - 2 : start + 2] &= start == 0
        exact[:, start + tile - 2 : start + tile + 2] &= start + tile == 170
    assert exact.mean() > 0.5
    np.testing.assert_allclose(tiled[:, exact], whole[:, exact], atol=1e-5)
    # Elsewhere the window hides most of what a tile's edge gets wrong.
    assert np.abs(tiled - whole).max() < 0.02


@pytest.mark.parametrize("scale", [0.6, 1.7])
def test_bands_at_another_scale_are_the_whole_at_that_scale(make: Make, scale: float) -> None:
    image = photo()
    whole = make(Passing(), scale=scale, tile=(400, 400)).maps(image)
    tiled = make(Passing(), scale=scale, tile=(64, 40), overlap=0.4).maps(image)
    assert whole.shape == (3, 150, 170)
    np.testing.assert_allclose(tiled, whole, atol=1e-5)
    np.testing.assert_allclose(tiled.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3, 2), (33, 129), (257, 64)])
def test_any_size(make: Make, small_net: nn.Module, size: tuple[int, int]) -> None:
    prediction = make(small_net, tile=(64, 64)).predict(photo(*size))
    assert prediction.labels.shape == size
    assert prediction.labels.dtype == np.uint8
    assert prediction.overlay().shape == (*size, 3)
    np.testing.assert_allclose(prediction.maps.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize("shape", [(0, 30, 3), (30, 0), (5,), (1, 3, 8, 8)])
def test_what_is_no_image_is_refused(make: Make, small_net: nn.Module, shape: tuple[int, ...]) -> None:
    with pytest.raises(MaskwrightError, match=r"\(H, W, C\) of at least one pixel: give such"):
        make(small_net).predict(np.zeros(shape, np.uint8))


def test_labels_are_the_likeliest_class(make: Make, small_net: nn.Module) -> None:
    predictor, image = make(small_net, tile=(64, 64), scale=0.7), photo()
    np.testing.assert_array_equal(predictor.result(image).labels, predictor.maps(image).argmax(0))


def test_the_same_image_gives_the_same_mask(make: Make, small_net: nn.Module) -> None:
    predictor, image = make(small_net, tile=(64, 64)), photo()
    before = image.copy()
    first = predictor.maps(image)
    np.testing.assert_array_equal(predictor.maps(image), first)
    np.testing.assert_array_equal(image, before)


def test_temperature_softens_and_keeps_the_labels(make: Make, small_net: nn.Module) -> None:
    image = photo()
    sharp, soft = make(small_net, tile=(256, 256)), make(small_net, tile=(256, 256), decoding={"temperature": 2.5})
    np.testing.assert_allclose(soft.maps(image), direct(small_net, image, 2.5), atol=1e-6)
    np.testing.assert_array_equal(soft.result(image).labels, sharp.result(image).labels)


@pytest.mark.parametrize("decoding", [{}, {"temperature": 2.0}, {"offsets": [0.5, 0.0, -0.5], "temperature": 2.0}])
def test_labels_of_one_tile_need_no_probabilities(
    make: Make, small_net: nn.Module, monkeypatch: pytest.MonkeyPatch, decoding: dict[str, Any]
) -> None:
    image = np.ma.masked_array(photo(), np.zeros((150, 170, 3), bool))
    image[3:5, 7:9] = np.ma.masked
    predictor = make(small_net, tile=(256, 256), decoding=decoding)
    maps = predictor.maps(image)
    gone = np.isnan(maps).any(axis=0)
    assert gone.sum() == 4
    monkeypatch.setattr("maskwright.inference.tiled.activated", None)
    expected = np.where(gone, IGNORE, np.nan_to_num(maps).argmax(axis=0))
    np.testing.assert_array_equal(predictor.result(image).labels, expected)


@pytest.mark.parametrize("settings", [{"tile": (64, 64)}, {"scale": 0.5}, {"flip": True}])
def test_labels_follow_the_probabilities_where_those_are_averaged_or_resized(
    make: Make, small_net: nn.Module, settings: dict[str, Any]
) -> None:
    predictor = make(small_net, **{"tile": (256, 256), **settings})
    np.testing.assert_array_equal(predictor.result(photo()).labels, predictor.maps(photo()).argmax(axis=0))


def test_flip_averages_with_the_mirror_image(make: Make, small_net: nn.Module) -> None:
    image = photo()
    flipped = make(small_net, flip=True, tile=(256, 256)).maps(image)
    mirror = direct(small_net, np.ascontiguousarray(image[:, ::-1]))[:, :, ::-1]
    np.testing.assert_allclose(flipped, (direct(small_net, image) + mirror) / 2, atol=1e-6)


def test_preparation_is_that_of_training(make: Make) -> None:
    predictor = make(Passing(), value_range=[(0, 1000)] * 3, mean=[0.0, 10.0, 20.0], std=[100.0] * 3)
    image = np.full((4, 4), 500, np.uint16)  # grey, 16 bits: becomes 128 in three channels
    logits = 3 * (128 - np.array([0, 10, 20])) / 100
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(predictor.maps(image)[:, 1, 1], expected, atol=1e-6)


def test_a_pixel_type_that_cannot_hold_the_range_is_refused_unless_trained_on(make: Make, small_net: nn.Module) -> None:
    settings = {"value_range": [(96, 4080)] * 3}
    predictor = make(small_net, dtypes=["uint16"], **settings)
    with pytest.raises(MaskwrightError, match=r"uint8 values, at most 255.*up to 4080.*type \(uint16\)"):
        predictor.predict(photo())
    predictor.predict(photo().astype(np.uint16))
    predictor.predict(photo().astype(np.float32))
    make(small_net, dtypes=["uint16", "uint8"], **settings).predict(photo())
    make(small_net, value_range=[(0, 255)] * 3).predict(photo())


def test_one_logit_is_a_yes_or_no(make: Make) -> None:
    class First(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x[:, :1]

    predictor = make(First(), classes=1)
    image = np.array([[0, 127, 128, 255]], np.uint8)
    assert predictor.result(image).labels.tolist() == [[IGNORE, IGNORE, 0, 0]]
    assert predictor.maps(image).shape == (1, 1, 4)


def test_fast_is_nearly_the_same(make: Make, small_net: nn.Module) -> None:
    image, exact = photo(), make(small_net)
    fast = Predictor.of(small_net, exact.card, "cpu", fast=True).maps(image)
    difference = np.abs(fast - exact.maps(image)).max()
    assert 0 < difference < 0.05
    assert fast.dtype == np.float32


def test_a_training_network_is_copied_and_the_copy_put_to_evaluation(make: Make) -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Dropout(0.9)).train()
    before, strides = {name: value.clone() for name, value in net.state_dict().items()}, net[0].weight.stride()
    predictor, image = make(net), photo()
    np.testing.assert_array_equal(predictor.maps(image), predictor.maps(image))
    assert isinstance(predictor.engine, TorchEngine)
    used = predictor.engine.segmenter
    assert not any(module.training for module in used.modules())
    assert all(module.training for module in net.modules())
    assert net[0].weight.stride() == strides
    assert net.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with torch.no_grad():
        net[0].weight.zero_()
    assert used[0].weight.any(), "no memory is shared"  # type: ignore[index]


def test_the_output_stride_of_the_callers_network_stays() -> None:
    network, card = strided(16)
    card = card.model_copy(update={"predict": PredictPlan(tile=(96, 96), output_stride=8)})
    pixels = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    network.eval()
    before = network(pixels)
    predictor = Predictor.of(network, card, "cpu")
    assert torch.equal(network(pixels), before)
    assert isinstance(predictor.engine, TorchEngine)
    assert not torch.equal(predictor.engine.segmenter(pixels), before)


def test_an_engine_takes_its_network_over(make: Make, small_net: nn.Module) -> None:
    card, image = make(small_net).card, photo()
    engine = TorchEngine(small_net.train(), card, "cpu")  # type: ignore[arg-type]
    assert engine.segmenter is small_net
    assert not small_net.training
    assert (engine.device.type, engine.batch) == ("cpu", 1)
    np.testing.assert_array_equal(Predictor(engine, card).maps(image), Predictor.of(small_net, card, "cpu").maps(image))


class Counting:
    """Another runtime: raw maps that say how bright a tile is, three tiles at a time."""

    device, batch = torch.device("cpu"), 3

    def __init__(self) -> None:
        self.counts: list[int] = []

    def forward(self, tiles: np.ndarray) -> torch.Tensor:
        assert tiles.dtype == np.uint8
        self.counts.append(len(tiles))
        return torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 50


def test_any_engine_will_do_and_gets_as_many_tiles_as_it_wants(make: Make) -> None:
    card = make(Passing(), tile=(64, 48), overlap=0.25).card
    engine, image = Counting(), photo(64, 170)
    columns = len(cover(170, 48, 0.25))
    assert columns == 5
    found = Predictor(engine, card).maps(image)
    assert engine.counts == [3, 2]
    expected = (torch.from_numpy(image).permute(2, 0, 1).float() / 50).softmax(0).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_decoding_and_postprocessor_are_changed_without_the_network(make: Make, small_net: nn.Module) -> None:
    plain, image = make(small_net, tile=(256, 256)), photo()
    softer = plain.with_decoding({"temperature": 2.5})
    assert softer.engine is plain.engine
    assert (plain.card.decoding, softer.card.decoding) == ({}, {"temperature": 2.5})
    np.testing.assert_allclose(softer.maps(image), direct(small_net, image, 2.5), atol=1e-6)
    follows = DenseCrf()
    refined = plain.with_postprocessor(follows)
    assert (plain.postprocessor, refined.postprocessor, refined.engine) == (None, follows, plain.engine)
    assert refined.with_decoding({}).postprocessor is follows


def test_class_offsets_move_the_labels(make: Make, small_net: nn.Module) -> None:
    image, offsets = photo(), np.array([0.5, 0.0, -0.5], np.float32)
    found = make(small_net, tile=(256, 256), decoding={"offsets": offsets.tolist()}).maps(image)
    raised = direct(small_net, image) * np.exp(offsets)[:, None, None]
    np.testing.assert_allclose(found, raised / raised.sum(0), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "said"),
    [(None, "is None"), ([photo(8, 8)], "is of type list"), (Image.new("RGB", (8, 8)), "is of type Image")],
)
def test_what_is_neither_an_array_nor_a_file_is_refused(
    make: Make, small_net: nn.Module, given: Any, said: str
) -> None:
    with pytest.raises(MaskwrightError, match=rf"^the image {said}, and it must be an array .* numpy\.asarray"):
        make(small_net).predict(given)


def test_the_labels_of_things_and_stuff_are_those_of_the_result(make: Make, small_net: nn.Module) -> None:
    labels = np.ones((8, 8), np.uint8)
    prediction = Prediction(PanopticMap(labels, Instances((8, 8), ())), photo(8, 8), make(small_net))
    assert prediction.labels is labels


def test_a_result_that_is_no_label_map_has_no_labels(make: Make, small_net: nn.Module) -> None:
    prediction = Prediction({"mean": 3.5}, photo(8, 8), make(small_net))
    with pytest.raises(MaskwrightError, match=r"^a model for semantic has no label map: use `result`$"):
        _ = prediction.labels
    assert not hasattr(prediction, "labels")


def test_confidence_is_kept_where_it_is_asked_for(make: Make, small_net: nn.Module) -> None:
    predictor, image = make(small_net, tile=(64, 64)), photo()
    assert predictor.result(image).confidence is None
    found = predictor.result(image, confidence=True)
    np.testing.assert_array_equal(found.confidence, predictor.maps(image).max(0).astype(np.float16))


def test_memory_follows_the_tile(make: Make) -> None:
    torch.manual_seed(0)
    predictor = make(nn.Conv2d(3, 16, 1), classes=16, tile=(128, 128), scale=1.0)
    image = np.zeros((2600, 1200, 3), np.uint8)
    process = psutil.Process()
    next(iter(predictor.blocks(image)))
    start, most = process.memory_info().rss, 0
    for _ in predictor.blocks(image):
        most = max(most, process.memory_info().rss - start)
    # All probabilities in float32 would be 190 MiB, the image alone in float32 36 MiB.
    assert most < 30 * 2**20


def test_wrong_channels_are_refused(make: Make, small_net: nn.Module) -> None:
    with pytest.raises(MaskwrightError, match="7 channels"):
        make(small_net).result(np.zeros((8, 8, 7), np.uint8))


def saved(folder: Path) -> tuple[nn.Module, Card]:
    torch.manual_seed(0)
    plan = ModelPlan(name="swiftnet")
    segmenter = models.create("swiftnet", classes=3)
    classes = CardClasses.of(Classes.named(("background", "a", "b")))
    card = Card(model=plan, classes=classes, data=DataPlan(), predict=PredictPlan(tile=(96, 96)))
    bundle.save(folder / "model.safetensors", segmenter, card)
    return segmenter, card


def test_a_bundle_predicts_what_the_network_did(tmp_path: Path) -> None:
    segmenter, card = saved(tmp_path)
    image = photo(100, 90)
    cv2.imwrite(str(tmp_path / "image.png"), image[:, :, ::-1])
    expected = Predictor.of(segmenter, card, "cpu").maps(image)
    for path in (tmp_path, str(tmp_path / "model.safetensors")):
        prediction = Predictor.load(path, "cpu").predict(tmp_path / "image.png")
        np.testing.assert_array_equal(prediction.maps, expected)
        assert prediction.classes.names == ("background", "a", "b")


def strided(stride: int) -> tuple[Segmenter, Card]:
    options = {"widths": [4, 6, 8, 10], "depths": [1, 1, 1, 1], "width": 6, "output_stride": stride}
    plan = ModelPlan(name="deeplabv3", backbone="compact", options=options)
    torch.manual_seed(0)
    network = models.create_from_plan(plan, 3, 3)
    classes = CardClasses.of(Classes.named(["background", "a", "b"]))
    return network, Card(model=plan, classes=classes, data=DataPlan(), predict=PredictPlan(tile=(96, 96)))


def test_the_output_stride_is_chosen_when_predicting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the card or by the call; the weights are those of the file, and the network the one built at that stride."""
    (coarse, card), (fine, _) = strided(16), strided(8)
    fine.load_state_dict(coarse.state_dict())
    bundle.save(tmp_path / "model.safetensors", coarse, card)
    image = photo(90, 70)
    expected = Predictor.of(fine, card, "cpu").maps(image)
    assert not np.array_equal(Predictor.load(tmp_path, "cpu").maps(image), expected)
    calls: list[int] = []
    change = Segmenter.set_output_stride
    monkeypatch.setattr(Segmenter, "set_output_stride", lambda self, to: (calls.append(to), change(self, to)))
    chosen = Predictor.load(tmp_path, "cpu", output_stride=8)
    assert calls == [8], "once"
    assert chosen.card.predict.output_stride == 8
    np.testing.assert_array_equal(chosen.maps(image), expected)
    by_plan = card.model_copy(update={"predict": PredictPlan(tile=(96, 96), output_stride=8)})
    np.testing.assert_array_equal(Predictor.of(coarse, by_plan, "cpu").maps(image), expected)


@pytest.mark.parametrize("stride", STRIDES)
def test_the_plan_allows_what_the_network_does(stride: int) -> None:
    assert PredictPlan.model_validate({"output_stride": stride}).output_stride == stride


def test_a_stride_that_no_network_has_is_refused_by_its_value(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(MaskwrightError, match=r"^output_stride is 5, and it must be 4, 8, 16 or 32: give one of these"):
        Predictor.load(tmp_path, "cpu", output_stride=5)


def test_a_network_that_cannot_have_a_stride_is_named_with_it(tmp_path: Path) -> None:
    saved(tmp_path)
    words = (
        r"^swiftnet cannot have the output stride 8: its decoder .*: leave `output_stride` out; "
        r"only .* fcn and pspnet, whose .* can change it$"
    )
    with pytest.raises(MaskwrightError, match=words):
        Predictor.load(tmp_path, "cpu", output_stride=8)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "other.safetensors").write_text("not a model")
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("cut.safetensors", "cut"),
        ("other.safetensors", "other.safetensors"),
        ("empty", "has no model.safetensors"),
        ("missing", "does not exist"),
    ):
        with pytest.raises(MaskwrightError, match=words):
            Predictor.load(tmp_path / name, "cpu")


def test_an_unreadable_file_is_named(make: Make, small_net: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(MaskwrightError, match=r"a\.png"):
        make(small_net).predict(tmp_path / "a.png")


def test_maps_of_another_shape_than_the_tiles_are_refused(make: Make, small_net: nn.Module) -> None:
    predictor = make(small_net)

    class Half(Counting):
        def forward(self, tiles: np.ndarray) -> torch.Tensor:
            return predictor.engine.forward(tiles)[..., ::2, ::2]

    with pytest.raises(MaskwrightError, match=r"gives maps of shape .* belongs to another network"):
        Predictor(Half(), predictor.card).maps(photo())


def test_a_model_for_an_unknown_task_is_refused_with_its_file(tmp_path: Path) -> None:
    network, card = saved(tmp_path)
    bundle.save(tmp_path / "model.safetensors", network, card.model_copy(update={"task": "height"}))
    with pytest.raises(MaskwrightError, match=r"model\.safetensors is for the task 'height'"):
        Predictor.load(tmp_path)


def test_nothing_is_said_where_the_image_has_no_data(make: Make, small_net: nn.Module) -> None:
    image = photo(60, 70).astype(np.float32)
    whole = make(small_net, tile=(64, 64), value_range=[(0, 255)] * 3)
    holed = image.copy()
    holed[:7, 5:30] = np.nan
    holed[20, 20, 1] = np.nan  # one value of three: the pixel counts
    predictor = make(small_net, tile=(32, 32), scale=0.5, value_range=[(0, 255)] * 3)
    for model in (whole, predictor):
        prediction = model.predict(holed)
        assert (prediction.labels[:7, 5:30] == IGNORE).all()
        assert (prediction.labels == IGNORE).sum() == 7 * 25
        assert np.isnan(prediction.maps[:, :7, 5:30]).all()
        assert np.isnan(prediction.maps).sum() == 3 * 7 * 25
        assert prediction.overlay().shape == (60, 70, 3)
    far = np.ones((60, 70), bool)
    far[:12, :35] = far[17:24, 17:24] = False
    np.testing.assert_allclose(whole.maps(holed)[:, far], whole.maps(image)[:, far], atol=1e-5)


def test_masked_arrays_and_the_card_say_where_there_are_no_data(make: Make, small_net: nn.Module) -> None:
    image = photo(40, 50)
    image[:5] = 0
    assert (make(small_net).predict(image).labels != IGNORE).all()
    holes = np.repeat((image == 0).all(axis=2, keepdims=True), 3, axis=2)
    for labels in (
        make(small_net).predict(np.ma.masked_array(image, holes)).labels,
        make(small_net, nodata=0).predict(image).labels,
    ):
        assert (labels[:5] == IGNORE).all()
        np.testing.assert_array_equal(labels == IGNORE, holes[..., 0])


def test_a_postprocessor_leaves_pixels_without_data_alone(make: Make, small_net: nn.Module) -> None:
    image = photo(40, 50).astype(np.float32)
    image[:5] = np.nan
    predictor = make(small_net, value_range=[(0, 255)] * 3).with_postprocessor(DenseCrf())
    maps = predictor.maps(image)
    assert np.isnan(maps[:, :5]).all()
    assert np.isfinite(maps[:, 5:]).all()
