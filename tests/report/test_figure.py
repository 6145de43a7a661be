import io
import math

from vsep_ray.report import score_figure


def test_one_box_per_source_and_method_also_where_nothing_is_heard():
    values = {"mixture": -5.0, "model": 3.0, "oracle": 9.0}
    rows = [{"source": s, "method": m, "si_sdr_db": v} for s in ("bass", "drums") for m, v in values.items()]
    rows.append({"source": "vocals", "method": "model", "si_sdr_db": math.nan})
    figure = score_figure(rows)
    figure.savefig(io.BytesIO(), format="png")
    labels = [t.get_text() for t in figure.axes[0].get_xticklabels()]
    assert labels == ["bass", "drums", "vocals"]
    assert [t.get_text() for t in figure.axes[0].get_legend().get_texts()] == list(values)
