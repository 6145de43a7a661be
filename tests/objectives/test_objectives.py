"""What each objective reads, whom it teaches, and what its weights do."""

import dataclasses
import inspect

import contracts
import pytest
import torch
from contracts import LENGTH, SOURCES, batch, flows, gradients, separator
from gaussian import ExactSeparator, white
from torch.distributions import Normal

from vsep_ray import checkpoint, objectives
from vsep_ray.config import UserError
from vsep_ray.joint import Joint
from vsep_ray.methods import RefineConfig
from vsep_ray.mixing import ConvolvedNormal, LinearMixing
from vsep_ray.objectives import (
    Anchored,
    LogErrorConfig,
    MaximumLikelihood,
    Objective,
    Remix,
    Sleep,
    Supervised,
    Wake,
)
from vsep_ray.objectives.wake import _blurred
from vsep_ray.schedules import Schedule
from vsep_ray.separators import (
    ConditionedNormalConfig,
    FactorisedNormalConfig,
)
from vsep_ray.training import FitConfig, FitState, fit

SIGMA = Schedule(0.3, 0.3)


def wake(noise_std=0.0, priors=None, schedule=SIGMA, posterior=ConditionedNormalConfig(), **kwargs):  # noqa: B008
    q = separator(noise_std, posterior)
    return Wake(q, Joint(priors or flows(), q.mixing), schedule, **kwargs)


OBJECTIVES = {
    MaximumLikelihood: lambda: MaximumLikelihood(flows()["bass"]),
    Sleep: lambda: Sleep(separator()),
    Supervised: lambda: Supervised(separator()),
    Wake: lambda: wake(samples=2),
    Remix: lambda: Remix(separator()),
    Anchored: lambda: anchored_wake(Schedule(0.5, 0.5)),
}


def anchored_wake(fraction):
    woken = wake()
    return Anchored(Sleep(woken.separator), woken, fraction)


def flat(grads):
    return torch.cat([g.flatten() for g in grads.values()]).double()


def cosine(one, other):
    return torch.nn.functional.cosine_similarity(flat(one), flat(other), dim=0).item()


def test_every_objective_is_tested_here():
    defined = {c for _, c in inspect.getmembers(objectives, inspect.isclass) if issubclass(c, Objective)}
    assert defined - {Objective} == OBJECTIVES.keys()


@pytest.mark.parametrize("check", contracts.SELF_TRAINING_CHECKS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("name", contracts.SELF_TRAINING)
def test_contract(name, check):
    check(contracts.SELF_TRAINING[name])


@pytest.mark.parametrize("kind", OBJECTIVES, ids=lambda k: k.__name__)
def test_an_objective_reads_only_what_it_needs(kind):
    """Regimes A and B never look at paired sources: NaN in their place leaves all gradients bit-identical."""
    honest = gradients(OBJECTIVES[kind]())
    poisoned = {k: v if k in kind.needs else v * torch.nan for k, v in batch().items()}
    for data in (poisoned, {k: batch()[k] for k in kind.needs}):
        again = gradients(OBJECTIVES[kind](), data)
        assert again.keys() == honest.keys() and honest
        assert all(torch.equal(again[n], honest[n]) for n in honest)


@pytest.mark.parametrize("kind", OBJECTIVES, ids=lambda k: k.__name__)
def test_an_objective_gives_a_finite_scalar_loss_and_every_trainable_parameter_a_gradient(kind):
    objective = OBJECTIVES[kind]()
    grads = gradients(objective)
    assert all(torch.isfinite(g).all() and g.any() for g in grads.values())
    assert grads.keys() == {n for n, p in objective.named_parameters() if p.requires_grad}
    metrics = objective(batch(), 0)
    assert metrics["loss"].shape == () and metrics["loss"].requires_grad
    assert all(v.numel() == 1 and not v.requires_grad for k, v in metrics.items() if not k.endswith("loss"))


@pytest.mark.parametrize("kind", [Wake, Anchored], ids=lambda k: k.__name__)
def test_priors_get_no_gradient_and_stay_in_eval_mode(kind):
    objective = OBJECTIVES[kind]()
    gradients(objective)
    joint = objective.joint if kind is Wake else objective.other.joint
    assert objective.training and not any(m.training for m in joint.modules())
    assert all(p.grad is None and not p.requires_grad for p in joint.parameters())


def test_maximum_likelihood_is_the_loss_of_the_prior():
    prior = flows()["bass"]
    torch.manual_seed(3)
    expected = prior.train().loss(batch()["clips"])
    torch.manual_seed(3)
    assert torch.equal(MaximumLikelihood(prior)(batch(), 0)["loss"], expected["loss"])


@pytest.mark.parametrize("kind", [Sleep, Supervised], ids=lambda k: k.__name__)
def test_sleep_is_minus_log_q_of_the_sources_per_sample(kind):
    objective, sources = kind(separator()), batch()[kind.needs[0]]
    q = objective.separator(objective.separator.mixing.mix(sources))
    expected = -q.log_prob(sources).mean() / (2 * LENGTH)
    metrics = objective(batch(), 0)
    torch.testing.assert_close(metrics["loss"], expected)
    snr = 10 * torch.log10(sources.square().sum((2, 3)) / (q.mean - sources).square().sum((2, 3)))
    torch.testing.assert_close(metrics["snr_db"], snr.mean(), rtol=1e-4, atol=1e-4)
    assert {"energy_share/bass", "energy_share/drums", "entropy"} <= metrics.keys()


def test_silent_sources_are_left_out_of_the_ratio_and_keep_every_scalar_finite():
    objective, sources = Sleep(separator()), batch()["remix"]
    sources[:, 1] = 0
    q = objective.separator(objective.separator.mixing.mix(sources))
    snr = 10 * torch.log10(sources.square().sum((2, 3)) / (q.mean - sources).square().sum((2, 3)))[:, 0]
    torch.testing.assert_close(objective({"remix": sources}, 0)["snr_db"], snr.mean(), rtol=1e-3, atol=1e-3)
    silent = objective({"remix": torch.zeros_like(sources)}, 0)
    assert all(torch.isfinite(v) for v in silent.values())


def test_sleep_sees_the_noise_of_the_mixing():
    objective, seen = Sleep(separator(noise_std=0.5)), []
    objective.separator.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    objective(batch(), 0)
    residual = seen[0] - objective.separator.mixing.mix(batch()["remix"])
    assert 0.4 < residual.std() < 0.6


def test_two_betas_are_not_proportional_where_the_mixing_has_noise():
    grads = [gradients(wake(noise_std=0.1, beta=beta)) for beta in (0.1, 10.0)]
    assert cosine(*grads) < 0.99


def test_beta_only_rescales_under_exact_mixing():
    small, large = (gradients(wake(beta=beta)) for beta in (0.1, 10.0))
    torch.testing.assert_close(100 * flat(small), flat(large), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("noise_std", [0.0, 0.1])
def test_two_temperatures_are_not_proportional(noise_std):
    taus = ((1.0, 1.0), (0.1, 0.1), (1.0, 0.1))
    grads = [gradients(wake(noise_std=noise_std, temperatures=t)) for t in taus]
    assert max(cosine(grads[0], grads[1]), cosine(grads[0], grads[2]), cosine(grads[1], grads[2])) < 0.99


def test_wake_changes_when_a_frozen_prior_changes():
    before = gradients(wake(priors=flows()))
    changed = flows()
    contracts.jiggle(changed["drums"], 0.1)
    assert cosine(before, gradients(wake(priors=changed))) < 0.999
    assert cosine(before, gradients(wake(priors=flows()))) == pytest.approx(1)


EXACT_OR_NOISY = [(ConditionedNormalConfig(), 0.0), *((p, 0.1) for p in contracts.POSTERIORS.values())]


@pytest.mark.parametrize(("posterior", "noise_std"), EXACT_OR_NOISY)
def test_wake_is_the_negative_elbo_written_out(noise_std, posterior):
    """One draw, the same random numbers, and the formula of the docstring."""
    stds, beta, taus, sigma = (0.3, 0.6), 0.7, (1.0, 0.4), 0.3
    priors = {s: white(v, LENGTH) for s, v in zip(SOURCES, stds, strict=True)}
    objective = wake(noise_std, priors, posterior=posterior, beta=beta, temperatures=taus)
    mixture = batch()["mixture"]
    torch.manual_seed(3)
    metrics = objective(batch(), 0)

    torch.manual_seed(3)
    q = objective.separator(mixture)
    draw = q.rsample((1,))[0]
    noisy = draw + sigma * torch.randn(draw.shape)
    log_prior = [
        Normal(0.0, (v**2 + sigma**2) ** 0.5).log_prob(noisy[:, k]).sum((1, 2)) for k, v in enumerate(stds)
    ]
    if isinstance(posterior, FactorisedNormalConfig):
        entropy = Normal(q.mean, (q.variance + sigma**2).sqrt()).entropy().sum((1, 2, 3))
    else:
        entropy = ConvolvedNormal(q, sigma).entropy()
    likelihood = objective.joint.log_likelihood(draw, mixture)
    elbo = beta * (taus[0] * log_prior[0] + taus[1] * log_prior[1] + entropy) + likelihood
    torch.testing.assert_close(metrics["loss"], -elbo.mean() / (2 * LENGTH))
    torch.testing.assert_close(metrics["elbo"], (sum(log_prior) + entropy + likelihood).mean())
    assert metrics["sigma"] == pytest.approx(sigma)


def test_more_draws_estimate_the_same_elbo_with_less_noise():
    losses = {}
    for samples in (1, 16):
        objective = wake(samples=samples)
        with torch.no_grad():
            losses[samples] = torch.stack([objective(batch(), 0)["loss"] for _ in range(40)])
    assert losses[16].std() < losses[1].std() / 2
    assert (losses[1].mean() - losses[16].mean()).abs() < 5 * losses[1].std() / 40**0.5


def test_the_noise_level_follows_its_schedule():
    objective = wake(schedule=Schedule(1.0, 0.01, 2, "geometric"))
    assert [round(objective(batch(), i)["sigma"].item(), 4) for i in range(4)] == [1.0, 0.1, 0.01, 0.01]


@pytest.mark.parametrize("schedule", [Schedule(2.0, 0.1), Schedule(0.1, 1e-4)])
def test_noise_levels_that_a_prior_does_not_know_are_refused_before_the_first_step(schedule):
    with pytest.raises(UserError, match=r"leave the range \[0.003, 1.0\]"):
        wake(schedule=schedule)


def test_temperatures_of_another_number_of_sources_are_refused():
    with pytest.raises(UserError, match="one temperature per source"):
        wake(temperatures=(0.5, 0.5, 0.5))
    assert torch.equal(wake(temperatures=(0.5,)).temperatures, torch.tensor([0.5, 0.5]))


@pytest.mark.parametrize(("posterior", "noise_std"), EXACT_OR_NOISY)
def test_the_path_gradient_is_another_estimate_of_the_same_gradient(noise_std, posterior):
    closed, path = (
        wake(noise_std, posterior=posterior, samples=300, gradient=g) for g in ("entropy", "path")
    )
    assert cosine(gradients(closed), gradients(path)) > 0.99
    torch.testing.assert_close(closed(batch(), 0)["elbo"], path(batch(), 0)["elbo"], rtol=0.02, atol=0.5)


@pytest.mark.parametrize("posterior", contracts.POSTERIORS.values())
def test_a_blurred_posterior_stands_still_without_a_graph(posterior):
    q = separator(0.1, posterior)(batch()["mixture"])
    value = torch.randn(4, 2, 1, LENGTH)
    with torch.no_grad():
        blurred = _blurred(q, 0.3)
    assert not blurred.log_prob(value).requires_grad


def test_every_buffer_can_be_written_to_as_ddp_does():
    assert all(b.is_contiguous() for b in wake(temperatures=(0.5,)).buffers())
    assert all(b.is_contiguous() for b in wake().buffers())


def test_the_path_gradient_has_no_noise_at_the_true_posterior():
    """Under exact mixing of white Gaussian sources every draw has the same log p - log q."""
    stds = {"bass": 0.3, "drums": 0.6}
    priors = {s: white(v, LENGTH) for s, v in stds.items()}
    noise = {}
    for name in ("entropy", "path"):
        q = ExactSeparator(stds, LinearMixing((0.5, 1.0)))
        q.stds = torch.nn.Parameter(q.stds)
        objective = Wake(q, Joint(priors, q.mixing), Schedule(1e-5, 1e-5), gradient=name)
        draws = []
        for _ in range(20):
            (grad,) = torch.autograd.grad(objective(batch(), 0)["loss"], q.stds)
            draws.append(grad)
        noise[name] = torch.stack(draws).std(0).max()
    assert noise["path"] < 1e-3 < 1e-2 < noise["entropy"]


def test_a_factorised_posterior_under_exact_mixing_is_refused():
    """Nothing would tie it to its mixture: the likelihood is left out, and the family is blind to it."""
    with pytest.raises(UserError, match="conditioned posterior"):
        wake(posterior=FactorisedNormalConfig())(batch(), 0)


def test_sources_in_another_order_are_refused():
    q = separator()
    with pytest.raises(ValueError, match="order"):
        Wake(q, Joint(dict(reversed(flows().items())), q.mixing), SIGMA)


def test_an_anchor_weighs_its_parts_and_leaves_out_what_has_no_weight():
    torch.manual_seed(3)
    metrics = anchored_wake(Schedule(0.75, 0.75))(batch(), 0)
    expected = 0.75 * metrics["sleep/loss"] + 0.25 * metrics["wake/loss"]
    torch.testing.assert_close(metrics["loss"], expected)
    for fraction, absent in ((1.0, "wake"), (0.0, "sleep")):
        metrics = anchored_wake(Schedule(fraction, fraction))(batch(), 0)
        assert not any(k.startswith(absent) for k in metrics)
    annealed = anchored_wake(Schedule(1.0, 0.0, 2))
    assert [{k.split("/")[0] for k in annealed(batch(), i)} - {"loss"} for i in (0, 1, 2)] == [
        {"sleep"}, {"sleep", "wake"}, {"wake"},
    ]  # fmt: skip


def test_a_prior_whose_density_is_an_estimate_gives_wake_its_score_and_no_value(monkeypatch):
    """With kind "estimate" the gradients are the same, and log_prob is never called."""
    exact, estimated = wake(), wake()
    expected = gradients(exact)
    for prior in estimated.joint.priors:
        prior.kind = "estimate"
        monkeypatch.setattr(prior, "log_prob", None)
        monkeypatch.setattr(prior, "score", exact_score(flows()["bass"], prior))
    again = gradients(estimated)
    for name, gradient in again.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-5)
    assert "elbo" in exact(batch(), 0) and "elbo" not in estimated(batch(), 0)


def exact_score(template, prior):
    """The score of a copy of the prior that still has its density."""
    template.load_state_dict(prior.state_dict())
    return template.eval().score


def test_remix_deals_each_sources_estimates_out_anew_and_teaches_the_student_only():
    torch.manual_seed(0)
    objective, seen = Remix(separator(), LogErrorConfig()), {}
    grads = gradients(objective)
    assert grads and all(n.startswith("separator.") for n in grads)
    data = batch()["mixture"]
    estimates = objective.teacher(data).mean
    hook = objective.separator.register_forward_pre_hook(lambda _, args: seen.update(mixture=args[0]))
    torch.manual_seed(5)
    objective({"mixture": data}, 0)
    hook.remove()
    torch.manual_seed(5)
    order = torch.rand(estimates.shape[:2]).argsort(0)
    dealt = torch.stack([estimates[order[:, k], k] for k in range(2)], 1)
    torch.testing.assert_close(seen["mixture"], objective.separator.mixing.mix(dealt), rtol=1e-4, atol=1e-5)


def test_the_teacher_follows_the_student_slowly_and_stays_in_eval_mode():
    objective = Remix(separator(), decay=0.9).train()
    before = [p.clone() for p in objective.teacher.parameters()]
    with torch.no_grad():
        for p in objective.separator.parameters():
            p += 1
    objective(batch(), 0)
    moved = [p - b for p, b in zip(objective.teacher.parameters(), before, strict=True)]
    assert all(torch.allclose(m, torch.full_like(m, 0.1), atol=1e-5) for m in moved)
    assert not any(m.training for m in objective.teacher.modules())


def test_priors_correct_the_teachers_estimates():
    joint = Joint({"bass": white(0.1, LENGTH), "drums": white(1.0, LENGTH)}, separator().mixing)
    settings = RefineConfig(sigma=0.01, steps=1_500, step_size=0.9)
    objective = Remix(separator(), joint=joint, refinement=settings)
    mixture = batch()["mixture"]
    corrected = objective._estimates(mixture)
    share = 0.5 * (0.01 + 1e-4) / (0.25 * (0.01 + 1e-4) + 1 + 1e-4)  # a_k v_k / sum_j a_j^2 v_j
    assert (corrected[:, 0] - share * mixture).abs().mean() < 0.02
    assert (objective.teacher(mixture).mean[:, 0] - share * mixture).abs().mean() > 0.04


def test_losses_are_per_sample_so_that_length_and_batch_do_not_scale_them():
    objective = Supervised(separator())
    short = objective({"sources": 0.3 * torch.randn(64, 2, 1, LENGTH)}, 0)["loss"]
    long = objective({"sources": 0.3 * torch.randn(8, 2, 1, 8 * LENGTH)}, 0)["loss"]
    torch.testing.assert_close(short, long, rtol=0.15, atol=0.05)


def test_scales_reach_the_energy_shares():
    metrics = Sleep(separator())(batch(), 0)
    assert metrics["energy_share/bass"] + metrics["energy_share/drums"] == pytest.approx(1)
    mixing = LinearMixing((0.5, 1.0))
    assert mixing.shares(torch.ones(1, 2, 1, 1)).flatten().tolist() == [0.5, 1.0]


def test_a_run_with_a_teacher_goes_on_as_if_it_had_not_been_interrupted(tmp_path):
    config = FitConfig(steps=4, batch_size=4, learning_rate=1e-2)

    def run(steps, resume=False, save=False):
        objective = Anchored(Sleep(q := separator()), Remix(q, decay=0.5), Schedule(0.5, 0.5))
        state = FitState.create(q, config, objective.memory)
        if resume:
            checkpoint.load_training(tmp_path, state)
        stop = lambda s, m: s.step >= steps  # noqa: E731
        fit(objective, iter(batch, None), dataclasses.replace(config, log_every=1), state=state, report=stop)
        if save:
            checkpoint.save(tmp_path, q, {}, state)
        return objective.state_dict()

    whole = run(4)
    run(2, save=True)
    again = run(4, resume=True)
    assert whole.keys() == again.keys() and any("teacher" in k for k in whole)
    assert all(torch.equal(whole[k], again[k]) for k in whole)
