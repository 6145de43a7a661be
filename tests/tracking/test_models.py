import pytest

from vsep_ray.config import UserError
from vsep_ray.tracking import resolve_model


def test_a_directory_is_returned_as_it_is(tmp_path):
    assert resolve_model(str(tmp_path), "sqlite:////nowhere/x.db", tmp_path / "cache") == tmp_path


@pytest.mark.parametrize(
    "uri",
    [
        "no/such/folder",
        "models:/name",
        "models:/none@champion",
        "models:/none/3",
        "runs:/12ab/x",
        "runs:/1/../../x",
    ],
)
def test_what_is_not_found_is_the_users_mistake_and_is_named(uri, tracking_uri, tmp_path):
    with pytest.raises(UserError, match=uri.replace("/", "/").split("@")[0]):
        resolve_model(uri, tracking_uri, tmp_path / "cache")


def test_a_store_that_is_away_is_named(tmp_path):
    with pytest.raises(UserError, match="http://127"):
        resolve_model("models:/a@b", "http://127.0.0.1:9", tmp_path)
