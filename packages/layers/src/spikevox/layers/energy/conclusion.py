"""What a report says in words: when the spiking network takes less energy, and when not."""

from spikevox.layers.energy.forms import CONTROLS, FORMS
from spikevox.layers.energy.report import Comparison, EnergyReport

_PART = {
    "synaptic": "layers with weights alone",
    "weights_once": "all arithmetic and memory with each weight fetched once",
    "weights_each": "all arithmetic and memory with a weight fetched for each product",
}


def outcome(comparison: Comparison) -> str:
    """``"less"``, ``"more"`` or ``"as much"``: what the spiking network takes, told by the interval of the ratio."""
    if comparison.ratio.low > 1:
        return "less"
    return "more" if comparison.ratio.high < 1 else "as much"


def joules(picojoules: float) -> str:
    """With a unit of its size."""
    for limit, factor, unit in ((1e12, 1e-12, "J"), (1e9, 1e-9, "mJ"), (1e6, 1e-6, "uJ"), (1e3, 1e-3, "nJ")):
        if picojoules >= limit:
            return f"{picojoules * factor:.3g} {unit}"
    return f"{picojoules:.3g} pJ"


def verdict(report: EnergyReport) -> str:
    """A paragraph: energies, ratios with intervals, ties, for what is counted alone and with memory."""
    lines = [
        f"Over {report.counts.samples} samples, priced at {report.table.title}, there are {report.rate.mean:.3g} "
        f"[{report.rate.low:.3g}, {report.rate.high:.3g}] spikes a product of the dense form, and {report.level:.3g} an event."
    ]
    for part, words in _PART.items():
        for spiking in CONTROLS:
            found = [c for c in report.comparisons if c.spiking == spiking and c.part == part]
            taken = joules(report.forms[spiking][part].mean)
            lines.append(
                f"Counting {words}, in {FORMS[spiking].precision}, spikes take {taken} a sample: "
                + "; ".join(_against(c, report) for c in found)
                + "."
            )
    return " ".join([*lines, _summary(report)])


def _against(comparison: Comparison, report: EnergyReport) -> str:
    form = FORMS[comparison.control]
    ratio = comparison.ratio
    taken = joules(report.forms[comparison.control][comparison.part].mean)
    tie = f"a tie at {comparison.tie:.3g} {comparison.tie_unit}" if comparison.tie > 0 else "no rate would tie"
    compared = {"less": "less than", "more": "more than", "as much": "as much as"}[outcome(comparison)]
    times = f"{ratio.mean:.3g} [{ratio.low:.3g}, {ratio.high:.3g}] times"
    return f"{compared} {form.title} ({taken}, {times}; {tie})"


def _summary(report: EnergyReport) -> str:
    won = [c for c in report.comparisons if outcome(c) == "less"]
    lost = [c for c in report.comparisons if outcome(c) == "more"]
    even = [c for c in report.comparisons if outcome(c) == "as much"]
    parts = [
        f"{start} {_list(found)}"
        for start, found in (("spikes win against", won), ("lose against", lost), ("and neither wins against", even))
        if found
    ]
    text = ", ".join(parts)
    return text[0].upper() + text[1:] + "." if text else ""


def _list(found: list[Comparison]) -> str:
    names: dict[str, list[str]] = {}
    for one in found:
        names.setdefault(FORMS[one.control].title, []).append(one.part)
    return " and ".join(
        title if len(parts) == len(_PART) else f"{title} ({', '.join(_PART[part] for part in parts)})"
        for title, parts in names.items()
    )
