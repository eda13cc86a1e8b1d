"""The model: parameters, initial equality with the image model, folding and inputs."""

from __future__ import annotations

import dataclasses
import logging
import re

import pytest
import torch
from torch import nn

from moclip_lite.errors import ConfigError
from moclip_lite.mobileviclip import MobileViCLIP, build, create_mobileviclip, variant
from moclip_lite.mobileviclip.temporal import JointAttention, TemporalMixer, TemporalPositions
from moclip_lite.mobileviclip.video import create_trunk

from support.mobileviclip import SMALL, TINY, clip_of, shaken, timm_state


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "training", "folded", "image_model"), [("tiny", 53.9, 53.8, 53.8), ("small", 99.3, 99.1, 99.2)]
)
def test_numbers_of_parameters_are_as_published(
    name: str, training: float, folded: float, image_model: float
) -> None:
    """53.9 and 99.2 M are published, 54 and 99 M in the paper's table; folded, small has 99.15 M."""
    with torch.device("meta"):
        model, plain = (
            MobileViCLIP(dataclasses.replace(variant(name), temporal=temporal)) for temporal in (True, False)
        )
        counts = [parameters(model), parameters(plain)]
        model.eval().fold()
        counts.append(parameters(model))
    depths, dims = model.config.depths, model.config.dims
    channels = sum(d * c for d, c in zip(depths[:3], dims[:3], strict=True))
    assert counts[0] - counts[1] == 5 * channels + 8 * dims[3]  # 3 taps and a norm; the temporal embedding
    assert [round(count / 1e6, 1) for count in counts] == [training, image_model, folded]
    assert {round(count / 1e6) for count in counts} == {54 if name == "tiny" else 99}
    assert model.config.embed_dim == 512


@pytest.mark.parametrize("config", [TINY, SMALL])
def test_a_new_model_equals_the_image_model_on_each_frame(config: object) -> None:
    """Temporal convolutions on any clip, attention on a clip of equal frames."""
    model = shaken(config)  # type: ignore[arg-type]
    for module in model.modules():
        if isinstance(module, TemporalMixer):
            nn.init.zeros_(module.norm.weight)  # type: ignore[union-attr]
            nn.init.zeros_(module.norm.bias)  # type: ignore[union-attr]
        elif isinstance(module, TemporalPositions):
            nn.init.zeros_(module.temporal_embedding)
    trunk = create_trunk(model.config).eval()
    trunk.load_state_dict(timm_state(model))
    still = clip_of(model.config)[:, :1].expand(-1, model.config.num_frames, -1, -1, -1)
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_video(still), trunk(still[:, 0]), atol=1e-5, rtol=1e-5)
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, JointAttention):
                    setattr(module, name, child.attention)
        clip = clip_of(model.config)
        per_frame = trunk(clip.flatten(0, 1)).unflatten(0, clip.shape[:2]).mean(1)
        torch.testing.assert_close(model.encode_video(clip), per_frame, atol=1e-5, rtol=1e-5)


def test_initial_values_equal_the_image_model() -> None:
    model = build(TINY, seed=3)
    trunk = create_trunk(TINY).eval()
    trunk.load_state_dict(timm_state(model))
    still = clip_of()[:, :1].expand(-1, 4, -1, -1, -1)
    with torch.inference_mode():
        torch.testing.assert_close(model.encode_video(still), trunk(still[:, 0]), atol=1e-5, rtol=1e-5)
    assert "RANDOM" in model.describe()


def test_attention_is_joint_and_positions_distinguish_frames() -> None:
    model = shaken()
    clip = clip_of(count=1)
    with torch.inference_mode():
        backwards = model.video.frame_embeddings(clip.flip(1)).flip(1)
        forwards = model.video.frame_embeddings(clip)
        changed = clip.clone()
        changed[:, -1] = 0
        first = model.video.frame_embeddings(changed)[:, 0]
    assert (backwards - forwards).abs().max() > 1e-3  # the order matters
    # The first frame sees the last, out of the convolutions' reach.
    assert (first - forwards[:, 0]).abs().max() > 1e-5
    plain = shaken(dataclasses.replace(TINY, temporal=False))
    with torch.inference_mode():
        torch.testing.assert_close(plain.encode_video(clip.flip(1)), plain.encode_video(clip))


@pytest.mark.parametrize("config", [TINY, SMALL, dataclasses.replace(TINY, num_frames=1)])
def test_folding_changes_no_output(config: object) -> None:
    model = shaken(config)  # type: ignore[arg-type]
    folded = model.reparameterize()
    clip, tokens = clip_of(model.config), model.tokenize(["a person juggling", "water"])
    with torch.inference_mode():
        frames, same = model.video.frame_embeddings(clip), folded.video.frame_embeddings(clip)
        torch.testing.assert_close(same, frames, atol=1e-4, rtol=1e-4)  # the first and the last too
        torch.testing.assert_close(
            folded.encode_text(tokens), model.encode_text(tokens), atol=1e-4, rtol=1e-4
        )
    assert not model.folded
    assert folded.reparameterize().folded
    names = " ".join(folded.state_dict())
    assert not re.search(
        r"conv_kxk|conv_scale|identity|small_conv|rbr_|layer_scale\.gamma|temporal\.(conv|norm)", names
    )


def norms_after_convolutions(network: nn.Module, *inputs: torch.Tensor) -> list[str]:
    """BatchNorms that are the only consumer of a convolution, in the exported graph."""
    graph = torch.export.export(network, inputs, strict=False).graph
    norms = [node for node in graph.nodes if "batch_norm" in str(node.target)]
    before = {str(norm): norm.args[0] for norm in norms}
    return [name for name, node in before.items() if "conv" in str(node.target) and len(node.users) == 1]


@pytest.mark.parametrize("config", [TINY, SMALL, dataclasses.replace(TINY, temporal=False)])
def test_the_folded_form_has_no_norm_after_a_convolution(config: object) -> None:
    model = shaken(config)  # type: ignore[arg-type]
    clip, tokens = clip_of(model.config), model.tokenize(["water", "x"])
    assert norms_after_convolutions(model.eval().video, clip)  # the training form has some
    folded = model.reparameterize()
    assert norms_after_convolutions(folded.video, clip) == []
    assert norms_after_convolutions(folded.text, tokens) == []


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_the_remaining_norms_precede_attention(name: str) -> None:
    with torch.device("meta"):
        model = MobileViCLIP(variant(name)).eval()
        model.fold()
    norms = [n for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    assert norms == [f"video.trunk.stages.3.blocks.{i}.norm" for i in range(variant(name).depths[3])]


def test_the_temporal_branch_folds_exactly() -> None:
    mixer = TemporalMixer(6, 5).eval()
    nn.init.uniform_(mixer.norm.weight, 0.5, 1.5)  # type: ignore[union-attr]
    mixer.norm.running_mean.normal_()  # type: ignore[union-attr]
    mixer.norm.bias.data.normal_()  # type: ignore[union-attr]
    x = torch.randn(10, 6, 3, 3)
    expected = mixer(x)
    reference = nn.functional.conv1d(
        x.view(2, 5, 6, 9).permute(0, 3, 2, 1).flatten(0, 1),
        mixer.conv.weight,
        padding=1,
        groups=6,  # type: ignore[union-attr]
    )
    reference = reference.view(2, 9, 6, 5).permute(0, 3, 2, 1).reshape(x.shape)
    torch.testing.assert_close(expected, x + mixer.norm(reference))  # type: ignore[misc]
    mixer.reparameterize()
    torch.testing.assert_close(mixer(x), expected, atol=1e-5, rtol=1e-5)
    last = x.contiguous(memory_format=torch.channels_last)  # another implementation
    torch.testing.assert_close(mixer(last), expected, atol=1e-5, rtol=1e-5)
    assert mixer(last).is_contiguous(memory_format=torch.channels_last)


def test_clips_of_wrong_shape_or_range_are_refused() -> None:
    model = build(TINY)
    good = clip_of()
    for bad in (
        good[:, :3],
        good[0],
        good[..., :32],
        (255 * good).to(torch.uint8),
        good * 255,
        good - 0.5,
        good * float("nan"),
    ):
        with pytest.raises(ValueError, match=r"a clip"):
            model.encode_video(bad)
    assert model.encode_video(good, normalize=True).norm(dim=-1).allclose(torch.ones(2), atol=1e-5)


def test_texts(caplog: pytest.LogCaptureFixture) -> None:
    model = build(TINY)
    tokens = model.tokenize(["A person   juggling", "a person juggling"])
    assert tokens.shape == (2, 77)
    assert torch.equal(tokens[0], tokens[1])
    for bad in ([], [""], ["x", "  "], ["&nbsp;"], ["\u200b"]):
        with pytest.raises(ValueError, match="text"):
            model.tokenize(bad)
    with caplog.at_level(logging.WARNING, "moclip.text"):
        logging.getLogger("moclip").propagate = True
        long = model.tokenize(["word " * 200])
    assert "cut to 75" in caplog.text
    assert long[0, -1] == long.max()  # the end-of-text token is kept
    with torch.inference_mode():
        assert torch.isfinite(model.encode_text(long)).all()


def test_names_and_seeds() -> None:
    with pytest.raises(ConfigError, match="small"):
        create_mobileviclip("smal")
    with pytest.raises(ConfigError, match="datacompdr"):
        create_mobileviclip("tiny", pretrained="openai")
    state = torch.random.get_rng_state()
    one, two, other = build(TINY, 1), build(TINY, 1), build(TINY, 2)
    assert torch.equal(state, torch.random.get_rng_state())
    with torch.inference_mode():
        assert torch.equal(one.encode_video(clip_of()), two.encode_video(clip_of()))
        assert not torch.equal(one.encode_video(clip_of()), other.encode_video(clip_of()))
    assert variant("mobileviclip-tiny") == variant("tiny")
    for wrong in (
        {"dims": (16, 32, 32, 60)},
        {"dims": (16, 24, 32, 64)},
        {"image_size": 60},
        {"depths": (0, 1, 1, 1)},
        {"trunk": "resnet"},
    ):
        with pytest.raises(ConfigError):
            dataclasses.replace(TINY, **wrong)
