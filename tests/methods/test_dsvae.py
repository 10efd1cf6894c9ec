"""DSVAE: its loss against the equations, what depends on which branch, the sizes of the paper, the watch over its latents."""
import pytest
import torch
from recipe_copy import ROOT
from test_method_contract import BATCH, BINS, batch, make

from sslspk.config import check, load
from sslspk.encoders import build
from sslspk.encoders.config import DsvaeEncoderConfig
from sslspk.errors import InputError
from sslspk.losses.gaussian_kl import gaussian_kl
from sslspk.methods import build as build_method
from sslspk.methods.base import Batch, Corpus, Progress
from sslspk.nn.masks import as_mask, hidden_steps
from sslspk.train.config import SystemConfig
from sslspk.train.watch import Watch

START = Progress(0, 10, 2, log=True)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_the_paper_s_sizes():
    encoder = build(DsvaeEncoderConfig(), 80)
    whole = parameters(encoder.decoder)
    parts = [*map(parameters, (encoder.shared, encoder.speaker, encoder.content)), whole - parameters(encoder.decoder.postnet),
             parameters(encoder.decoder.postnet)]
    assert parts == [758528, 9584768, 10306688, 19830352, 4343888] and sum(parts) == parameters(encoder) == 44824224


def test_shapes_of_the_latents():
    encoder = make("dsvae").content.encoder.eval()
    maps = encoder.shared(torch.randn(3, BINS, 17))
    speaker, content = encoder.speaker(maps), encoder.content(maps)
    assert {x.shape for x in speaker} == {(3, 6)} and {x.shape for x in content} == {(3, 17, 5)}
    assert encoder.decoder(speaker[0], content[0]).shape == (3, 17, BINS)


def by_hand(method, seen):
    """The loss in evaluation, where the means are the samples, one recording at a time."""
    cfg, encoder, total = method.config, method.content.encoder, 0.0
    heard, clean = encoder.standardise(seen.views[0][0]), encoder.standardise(seen.views[0][-1])
    for b in range(BATCH):
        maps = encoder.shared(heard[b:b + 1].transpose(1, 2))
        (m_s, v_s), (m_c, v_c) = encoder.speaker(maps), encoder.content(maps)
        labels = None if seen.frame_labels is None else seen.frame_labels[b:b + 1]
        prior = method.prior(torch.zeros_like(m_c), labels)
        error = (encoder.decoder(m_s, m_c) - clean[b]) ** 2
        total += 0.5 * float(error.sum() if cfg.reconstruction == "sum" else error.sum() / BINS)
        total += cfg.alpha * float(gaussian_kl(m_s, v_s, torch.zeros_like(m_s), torch.zeros_like(v_s)))
        total += sum(cfg.beta * float(gaussian_kl(m_c[:, t], v_c[:, t], prior[0][:, t], prior[1][:, t])) for t in range(m_c.shape[1]))
    return total / BATCH / clean.shape[1]


@pytest.mark.parametrize("name", ["dsvae", "dsvae mean", "cdsvae"])
def test_the_loss_is_that_of_the_paper(name):
    method = make(name, alpha=0.3, beta=1.7)
    method(batch(method, 0), START)   # gathers the features' statistics
    method.eval()
    with torch.no_grad():
        seen = batch(method, 1)
        out = method(seen, START)
        assert out["loss"].item() == pytest.approx(by_hand(method, seen), rel=1e-5)


def test_the_weights_of_both_divergences_rise():
    method = make("dsvae", alpha=0.3, beta=1.7, warmup_steps=4).eval()
    seen = batch(method, 0)
    frames = seen.views[0].shape[2]
    for step, share in ((0, 0.25), (1, 0.5), (2, 0.75), (3, 1.0), (7, 1.0)):
        out = method(seen, Progress(step, 10, 2))
        assert out["loss_speaker"].item() == pytest.approx(share * 0.3 / frames * out["kl_speaker"].item(), rel=1e-5)
        assert out["loss_content"].item() == pytest.approx(share * 1.7 * out["kl_content"].item(), rel=1e-5)
        total = out["loss_reconstruction"] + out["loss_speaker"] + out["loss_content"]
        assert out["loss"].item() == pytest.approx(total.item(), rel=1e-6)


def test_the_errors_with_either_latent_zeroed():
    method = make("dsvae").eval()
    seen, encoder = batch(method, 0), method.content.encoder
    with torch.no_grad():
        out = method(seen, START)
        heard, clean = encoder.standardise(seen.views[0][0]), encoder.standardise(seen.views[0][-1])
        maps = encoder.shared(heard.transpose(1, 2))
        z_s, z_c = encoder.speaker(maps)[0], encoder.content(maps)[0]
        for name, used in (("error", (z_s, z_c)), ("error_without_speaker", (0 * z_s, z_c)), ("error_without_content", (z_s, 0 * z_c))):
            assert out[name].item() == pytest.approx(float(((encoder.decoder(*used) - clean) ** 2).mean()), rel=1e-5)
    assert len({round(out[name].item(), 5) for name in ("error", "error_without_speaker", "error_without_content")}) == 3


def test_the_labels_of_hidden_frames_have_their_weight():
    masking, outs = {"mask_prob": 0.3, "mask_span": 3}, []
    for weight in (1.0, 3.5):
        method = make("cdsvae masked", masked_prediction={**masking, "weight": weight}).eval()
        seen = batch(method, 0)
        with torch.no_grad():
            outs.append(method(seen, START))
    encoder, frames = method.content.encoder, seen.views[0].shape[2]
    maps = encoder.shared(encoder.standardise(seen.views[0][0]).transpose(1, 2))
    hidden = hidden_steps(BATCH, frames, 0.3, 3, START.draw)
    means = encoder.content(torch.where(as_mask(hidden, frames)[:, None], method.mask[:, None], maps))[0]
    likelihood = method.tell(means).log_softmax(-1).gather(2, seen.frame_labels[..., None])[..., 0]
    wanted = -likelihood.gather(1, hidden).sum().item() / BATCH / frames   # of a crop's hidden frames together
    assert [out["loss_labels"].item() for out in outs] == pytest.approx([wanted, 3.5 * wanted], rel=1e-5)
    assert outs[1]["loss"].item() - outs[0]["loss"].item() == pytest.approx(2.5 * wanted, rel=1e-4)


def test_the_clean_copy_is_what_is_to_be_decoded():
    method = make("dsvae").eval()
    seen = batch(method, 0)
    other = seen._replace(views=[torch.stack([seen.views[0][0], seen.views[0][1] + 1])])
    first, second = method(seen, START), method(other, START)
    assert first["kl_speaker"] == second["kl_speaker"] and first["kl_content"] == second["kl_content"]
    assert first["loss_reconstruction"] != second["loss_reconstruction"]


def test_the_embedding_does_not_hear_what_comes_after_it():
    """z_s depends on neither the content branch nor the decoder; each frame's content on neither the speaker branch nor the decoder."""
    encoder, x = make("dsvae").content.encoder.eval(), torch.randn(2, 20, BINS)
    speaker, content = encoder(x), encoder.frames(x)
    for part in (encoder.content, encoder.decoder):
        torch.nn.init.normal_(next(part.parameters()))
    assert torch.equal(encoder(x), speaker) and not torch.equal(encoder.frames(x), content)
    before = encoder.frames(x)
    torch.nn.init.normal_(next(encoder.speaker.parameters()))
    assert torch.equal(encoder.frames(x), before) and not torch.equal(encoder(x), speaker)


SIZES = ("features.num_mel_bins=16", "encoder.channels=12", "encoder.hidden_dim=12", "encoder.embed_dim=8", "encoder.content_dim=4",
         "encoder.decoder_channels=12", "encoder.decoder_hidden=12", "method.prior_dim=6", "method.warmup_steps=20", "method.beta=0.1")


def recordings(count, seed):
    """Frames (2 count, 15, 16) and phones (2 count, 15): two speakers in turn, told apart by formants. Level and channel vary much more."""
    generator = torch.Generator().manual_seed(seed)
    rows, bins = 2 * count, torch.linspace(-1, 1, 16)
    phones = 2 * torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    said = torch.randint(5, (rows, 5), generator=generator).repeat_interleave(3, 1)
    voice = torch.cos(9 * bins) * torch.tensor([1.0, -1.0]).repeat(count)[:, None]
    level, tilt = torch.randn(2, rows, 1, generator=generator)
    return phones[said] + (voice + 3 * level + 2 * tilt * bins)[:, None] + 0.3 * torch.randn(rows, 15, 16, generator=generator), said


def learnt(*options):
    """The encoder of the small system after 80 steps on such recordings."""
    config = load(SystemConfig, f"{ROOT}/egs/disentangle/conf/dsvae_short.yaml", (*SIZES, *options))
    torch.manual_seed(0)
    method = build_method(config.method, config.encoder, 16, Corpus(1000, 0))
    optimizer = torch.optim.AdamW(method.parameters(), config.train.lr)
    for step in range(80):
        seen = Batch([recordings(8, 1000 + step)[0][None]], torch.full((16,), -1), torch.arange(16))
        optimizer.zero_grad()
        method(seen, Progress(step, 80, 10))["loss"].backward()
        torch.nn.utils.clip_grad_norm_(method.parameters(), config.train.clip_norm)
        optimizer.step()
    return method.eval().content.encoder


def told(encoder, seed):
    """Features of frames, with a constant, and their phones."""
    x, said = recordings(50, seed)
    with torch.no_grad():
        content = encoder.frames(x).flatten(0, 1)
    return torch.cat([content, torch.ones(len(content), 1)], 1), said.flatten()


def phones_told(encoder):
    """Share of new frames whose phone a least-squares classifier tells from z_c; 0.2 by chance."""
    (known, answers), (new, said) = told(encoder, 1), told(encoder, 2)
    weights = torch.linalg.lstsq(known, torch.nn.functional.one_hot(answers, 5).float()).solution
    return float(((new @ weights).argmax(1) == said).float().mean())


def speakers_told(encoder):
    """Share of new recordings nearest to the mean z_s of their own speaker; half of them by chance."""
    with torch.no_grad():
        known, new = encoder(recordings(16, 1)[0]), encoder(recordings(50, 2)[0])
    nearest = torch.cdist(new, torch.stack([known[0::2].mean(0), known[1::2].mean(0)])).argmin(1)
    return float((nearest == torch.arange(100) % 2).float().mean())


@pytest.fixture(scope="module")
def encoder():
    return learnt()


def test_the_small_system_learns_who_speaks_and_what_is_said(encoder):
    """Not how loud and through which channel. With the correlations of all frames taken out, z_c learns fewer phones."""
    assert speakers_told(encoder) > 0.75
    assert phones_told(encoder) > 0.38 > 0.3 > phones_told(learnt("encoder.decorrelate=frames", "encoder.ridge=0.1"))


def voice_of(frames):
    """How much of the first speaker's formants is in the mean of frames (B, T, 16), level and tilt apart; below 0 for the second."""
    bins = torch.linspace(-1, 1, 16)
    apart = torch.stack([torch.ones(16), bins], 1)
    formants = torch.cos(9 * bins)
    formants = formants - apart @ torch.linalg.lstsq(apart, formants[:, None]).solution[:, 0]
    return frames.mean(1) @ formants


def test_content_decoded_with_another_s_z_s_has_that_voice(encoder):
    """By the formants of what was decoded, and by its z_s."""
    with torch.no_grad():
        known, heard = encoder(recordings(16, 1)[0]), recordings(50, 2)[0]
        voices, own, content = torch.stack([known[0::2].mean(0), known[1::2].mean(0)]), torch.arange(100) % 2, encoder.frames(heard)
        kept, swapped = (encoder.standardise.undo(encoder.decoder(voices[who], content)) for who in (own, 1 - own))
        towards_own = (voice_of(kept) - voice_of(swapped)) * (1 - 2 * own)
        assert (towards_own > 0).float().mean() > 0.95 and (voice_of(swapped) * (1 - 2 * own) < 0).float().mean() > 0.9
        for frames, who in ((kept, own), (swapped, 1 - own)):
            assert (torch.cdist(encoder(frames), voices).argmin(1) == who).float().mean() > 0.9


def test_an_empty_latent_is_told():
    for name, option in (("kl_content", "method.beta"), ("kl_speaker", "method.alpha")):
        figures = {"kl_content": 2.0, "kl_speaker": 9.0, "effective_rank": 5.0}
        watch = Watch(None)
        assert watch.collapse(figures, 2.0) is watch.collapse({**figures, name: 0.05}, 0.5) is None
        told = watch.collapse({**figures, name: 0.05}, 2.0)
        assert "holds almost no information (0.05 nats" in told and f"lower {option}" in told


@pytest.mark.parametrize(("tree", "said"), [
    ({"method": {"name": "dsvae"}, "encoder": {"name": "tdnn"}}, "needs an encoder with two branches and a decoder"),
    ({"method": {"name": "simclr"}, "encoder": {"name": "dsvae"}}, "holds a decoder, which method simclr does not train"),
    ({"method": {"name": "dsvae", "crops": [{"count": 2, "seconds": 1.0}]}, "encoder": {"name": "dsvae"}}, "learns within one crop"),
    ({"method": {"name": "dsvae"}, "encoder": {"name": "dsvae", "kernel": 4}}, "give an odd number")])
def test_what_does_not_go_together_is_refused(tree, said):
    with pytest.raises(InputError, match=said):
        check(SystemConfig, tree, "the test")
