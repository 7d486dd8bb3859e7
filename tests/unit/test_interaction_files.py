"""Readers of interactions: every rule of the tables, on small files of the same form as the public ones."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcl.data.interaction_files import (
    from_adjacency_text,
    from_csv,
    from_frame,
    from_inter,
    from_lenskit,
    from_parquet,
    to_inter,
)
from graphcl.data.interactions import Interactions
from graphcl.errors import DataError, MissingExtraError, RequestError


class Frame(dict):
    """What pandas and polars share."""

    columns = property(list)

    def __getitem__(self, name):
        return SimpleNamespace(to_numpy=lambda: self.get(name))


def frame(users, items, dtype=None, **more):
    columns = {"user_id": users, "item_id": items}
    made = {name: np.asarray(values, dtype=dtype) for name, values in columns.items()}
    return Frame(made | {name: np.asarray(values) for name, values in more.items()})


def triples(seen):
    """Pairs by their ids, in the order of the ids."""
    users = range(seen.num_users) if seen.user_ids is None else seen.user_ids.tolist()
    items = range(seen.num_items) if seen.item_ids is None else seen.item_ids.tolist()
    return {(users[user], items[item]) for user, item in zip(seen.users.tolist(), seen.items.tolist(), strict=True)}


@pytest.fixture
def text(tmp_path):
    def write(content, name="rows.csv"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def _lists():
    made = np.empty(2, dtype=object)
    made[:] = [[1], [2, 3]]
    return made


# --- data frames --------------------------------------------------------------------------------------------------


def test_whole_numbers_are_numbered_by_size():
    seen = from_frame(frame([9, 3, 9], [0, 1, 2]))
    assert seen.user_ids.tolist() == [3, 9]
    assert seen.item_ids is None
    assert triples(seen) == {(9, 0), (3, 1), (9, 2)}


def test_names_are_numbered_by_their_first_row():
    seen = from_frame(frame(["eve", "bob", "eve"], ["7", "07", "x"], dtype=object))
    assert seen.user_ids.tolist() == ["eve", "bob"]
    assert seen.item_ids.tolist() == ["7", "07", "x"]


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 2**63 - 1)), min_size=1))
def test_numbers_of_any_size_stay_what_they_are(pairs):
    users, items = zip(*pairs, strict=True)
    assert triples(from_frame(frame(users, items, dtype=np.int64))) == set(pairs)


def test_ids_beyond_int32_and_beyond_int64():
    assert from_frame(frame([2**40, 1], [2**62, -(2**62)])).user_ids.tolist() == [1, 2**40]
    seen = from_frame(
        Frame(user_id=np.array([2**64 - 1, 5], dtype=np.uint64), item_id=np.array([10**30, 1], dtype=object))
    )
    assert seen.user_ids.tolist() == [str(2**64 - 1), "5"]
    assert seen.item_ids.tolist() == [str(10**30), "1"]


def test_whole_floats_are_numbers():
    assert from_frame(frame([1.0, 3.0], [0, 1])).user_ids.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([1.0, float("nan")], r"row 1 \(from 0\): 'user_id' is nan, no id"),
        ([1.0, 1.5], r"row 1 .* is 1.5, no id"),
        ([1e300, 1.0], r"row 0 .* no id"),
        (np.array(["a", None], dtype=object), r"row 1 .*'user_id' is missing"),
        (np.array(["", "a"], dtype=object), r"row 0 .*'user_id' is missing"),
        (np.array([1, float("nan")], dtype=object), r"row 1 .*'user_id' is missing"),
        (np.array([1, "a"], dtype=object), "mixes int, str"),
        (_lists(), "holds list; ids are"),
        ([True, False], "is bool; ids are whole numbers or strings"),
        ([[1], [2]], r"is \[2, 1\]"),
    ],
)
def test_ids_that_are_none(users, message):
    with pytest.raises(DataError, match=message):
        from_frame(Frame(user_id=np.asarray(users), item_id=np.array([1, 2])))


def test_a_missing_column_lists_the_columns():
    with pytest.raises(DataError, match="no column 'itemId'; it has: user_id, item_id"):
        from_frame(frame([1], [1]), item="itemId")
    with pytest.raises(DataError, match="no column 'stars'"):
        from_frame(frame([1], [1]), rating="stars")


def test_no_rows():
    with pytest.raises(DataError, match="the frame: holds no rows"):
        from_frame(frame([], [], dtype=np.int64))
    with pytest.raises(DataError, match="the frame: holds no rows"):
        from_frame(frame([], [], dtype=object))


def test_least_rating_decides_what_counts():
    rows = frame([1, 2, 3], [1, 2, 3], stars=[-1, 3, 5])
    with pytest.raises(DataError, match=r"row 0 .*the rating -1 is negative; least_rating=0 drops"):
        from_frame(rows, rating="stars")
    assert len(from_frame(rows, rating="stars", least_rating=0)) == 2
    liked = from_frame(rows, rating="stars", least_rating=4)
    assert (liked.user_ids.tolist(), liked.num_items, liked.ratings.tolist()) == ([3], 1, [5.0])
    with pytest.raises(DataError, match="no rating reaches 6; the highest is 5"):
        from_frame(rows, rating="stars", least_rating=6)
    with pytest.raises(RequestError, match="say which column"):
        from_frame(rows, least_rating=4)
    with pytest.raises(RequestError, match="0 or more"):
        from_frame(rows, rating="stars", least_rating=-1)


@pytest.mark.parametrize("what", ["rating", "time"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(what, wrong):
    with pytest.raises(DataError, match=rf"row 1 \(from 0\): the {what} is {wrong}"):
        from_frame(frame([1, 2], [1, 2], value=[0, wrong]), **{what: "value"})


def test_times_may_be_dates():
    dates = np.array(["1970-01-02", "1970-01-01"], dtype="datetime64[s]")
    assert from_frame(frame([0, 1], [0, 1], day=dates), time="day").times.tolist() == [86400.0, 0.0]
    with pytest.raises(DataError, match="the time is nan"):
        from_frame(frame([0], [0], day=np.array(["NaT"], dtype="datetime64[s]")), time="day")
    with pytest.raises(DataError, match="'day' is 'monday', no number"):
        from_frame(frame([0], [0], day=np.array(["monday"], dtype=object)), time="day")


def test_a_million_rows_of_one_pair():
    seen = from_frame(frame([5] * 10**6, [7] * 10**6, dtype=np.int64))
    assert (len(seen), seen.user_ids.tolist(), seen.item_ids.tolist()) == (1, [5], [7])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_real_frames(library):
    module = pytest.importorskip(library)
    rows = module.DataFrame(
        {"user_id": ["b", "a", "b"], "item_id": [3, 2**40, 3], "stars": [1.0, 2.0, 3.0], "t": [9, 8, 7]}
    )
    seen = from_frame(rows, rating="stars", time="t")
    assert triples(seen) == {("b", 3), ("a", 2**40)}
    assert seen.ratings.tolist() == [3.0, 2.0]  # the earlier one of b
    holes = module.DataFrame({"user_id": ["a", None], "item_id": [1, 2]})
    with pytest.raises(DataError, match="row 1 .*missing"):
        from_frame(holes)
    with pytest.raises(DataError, match="row 1 .*no id"):
        from_frame(module.DataFrame({"user_id": [1, None], "item_id": [1, 2]}))


# --- text files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "::", " "])
def test_the_separator_is_found(text, separator):
    rows = [["user_id", "stars", "item_id"], ["ann", "4.5", "10"], ["bob", "1", "9"]]
    path = text("\n".join(separator.join(row) for row in rows))
    seen = from_csv(path, rating="stars")
    assert triples(seen) == {("ann", 10), ("bob", 9)}
    assert sorted(seen.ratings.tolist()) == [1.0, 4.5]
    headless = text("\n".join(separator.join(row) for row in rows[1:]), "headless.csv")
    assert triples(from_csv(headless, columns=rows[0])) == triples(seen)
    assert triples(from_csv(path, separator=separator)) == triples(seen)


def test_what_text_files_look_like_elsewhere(text):
    path = text(b'\xef\xbb\xbfuser_id, item_id\r\n\r\n"a,b", 1\r\n"c\nd", 2\r\n')
    assert triples(from_csv(path)) == {("a,b", 1), ("c\nd", 2)}


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(["0", "7", "007", "-0", "-3", "+7", "1.0", "10", str(2**63), "a", "\U0001f600", "\u0661"]),
            st.integers(0, 99),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_fast_way_reads_what_the_careful_one_reads(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    lines = "\n".join(f"{user},{item},0.5,some text" for user, item in rows)
    plain, quoted = folder / "plain.csv", folder / "quoted.csv"
    plain.write_text(f"user_id,item_id,stars,about\n{lines}\n", encoding="utf-8")
    # a quoted field is nothing for the fast way
    quoted.write_text(f"user_id,item_id,stars,about\n{lines.replace('some text', chr(34) + 'some text' + chr(34))}\n")
    fast, careful = (from_csv(path, rating="stars") for path in (plain, quoted))
    assert triples(fast) == triples(careful)
    assert fast.fingerprint == careful.fingerprint


def test_leading_zeros_make_names(text):
    seen = from_csv(text("user_id,item_id\n007,1\n7,2\n10,3\n"))
    assert seen.user_ids.tolist() == ["007", "7", "10"]
    assert seen.item_ids.tolist() == [1, 2, 3]
    headless = from_csv(text("007,1\n7,2\n"), columns=["user_id", "item_id"])
    assert headless.user_ids.tolist() == ["007", "7"]


def test_ids_of_text_files_never_overflow(text):
    rows = [(2**40, 2**63), (3, 2**63 - 1)]
    seen = from_csv(text("user_id,item_id\n" + "\n".join(f"{user},{item}" for user, item in rows)))
    assert seen.user_ids.tolist() == [3, 2**40]
    assert seen.item_ids.tolist() == [str(2**63), str(2**63 - 1)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("user_id,item_id\n", "holds no rows"),
        ("user,item\n1,2\n", "no column 'user_id'; it has: user, item$"),
        ("user_id,item_id\n1,2\n\n3;4\n", "line 4: 1 fields, expected 2 parted by ','; the line is parted by ';'"),
        ("user_id\titem_id\n1\t2\n3,4\n", r"line 3: 1 fields, expected 2 parted by '\\t'; the line is parted by ','"),
        ("user_id,item_id\n1,2\n3,4,5\n", "line 3: 3 fields, expected 2"),
        ("user_id,item_id\n1,2\n3\n", "line 3: 1 fields, expected 2 .*cut short"),
        ("user_id,item_id\n1,2\n,4\n", "line 3: 'user_id' is missing"),
        ("user_id::item_id\n1::2\n\n3\n", "line 4: 1 fields, expected 2 parted by '::'"),
        ('user_id,item_id\n1,2\n"3,4\n', "cannot be read after line 3"),
        (b"user_id,item_id\n1,\xff\n", "no UTF-8|cannot be read"),
    ],
)
def test_text_that_is_refused(text, content, message):
    with pytest.raises(DataError, match=message):
        from_csv(text(content))


@pytest.mark.parametrize(
    ("stars", "message"),
    [
        ("", "line 3: 'stars' is missing"),
        ("good", "line 3: 'stars' is 'good', no number"),
        ("nan", "line 3: the rating is nan"),
        ("-1", "line 3: the rating -1 is negative"),
    ],
)
def test_ratings_that_are_refused(text, stars, message):
    with pytest.raises(DataError, match=message):
        from_csv(text(f"user_id,item_id,stars\n1,2,3\n4,5,{stars}\n"), rating="stars")


def test_the_line_of_a_late_row(text):
    rows = "\n".join(f"{k},{k}" for k in range(200_000))
    with pytest.raises(DataError, match="line 200002: 'item_id' is missing"):
        from_csv(text(f"user_id,item_id\n{rows}\n5,\n"))
    assert from_csv(text(f"user_id,item_id\n{rows}\n")).user_ids is None


def test_files_that_are_not_there(tmp_path):
    for read in (from_csv, from_inter, from_parquet):
        with pytest.raises(RequestError, match="no such file"):
            read(tmp_path / "none")
    with pytest.raises(RequestError, match="no such file"):
        from_adjacency_text(tmp_path / "a", tmp_path / "b")


def test_an_empty_separator(text):
    with pytest.raises(RequestError, match="separator is empty"):
        from_csv(text("user_id,item_id\n1,2\n"), separator="")


# --- Parquet ------------------------------------------------------------------------------------------------------


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    words = arrow.array(["a", "b", "a"]).dictionary_encode()
    times = arrow.array([3, 2, 1], arrow.timestamp("s"))
    parquet.write_table(arrow.table({"user_id": words, "item_id": [5, 6, 5], "t": times, "junk": [1, 2, 3]}), path)
    seen = from_parquet(path, time="t")
    assert triples(seen) == {("a", 5), ("b", 6)}
    assert seen.times.tolist() == [1.0, 2.0]
    with pytest.raises(DataError, match="no column 'stars'; it has: user_id, item_id, t, junk"):
        from_parquet(path, rating="stars")
    parquet.write_table(arrow.table({"user_id": [1, None], "item_id": ["a", None]}), path)
    with pytest.raises(DataError, match="row 1 .*'user_id' is nan"):
        from_parquet(path)
    path.write_text("no parquet")
    with pytest.raises(DataError, match="no readable Parquet file"):
        from_parquet(path)


def test_parquet_names_its_extra(tmp_path, monkeypatch):
    (tmp_path / "rows.parquet").touch()
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"pyarrow is not installed: pip install 'graphcl\[recsys\]'"):
        from_parquet(tmp_path / "rows.parquet")


# --- RecBole ------------------------------------------------------------------------------------------------------

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"


def test_inter(text):
    seen = from_inter(text(f'{INTER}9\t"x\t4\t881250949\n3\ty\t2.5\t7\n'))
    assert triples(seen) == {(9, '"x'), (3, "y")}
    assert seen.ratings.tolist() == [2.5, 4.0]
    assert seen.times.tolist() == [7.0, 881250949.0]
    assert len(from_inter(text(f"{INTER}1\t2\t3\t4\n1\t3\t5\t4\n"), least_rating=4)) == 1
    bare = from_inter(text("user_id:token\titem_id:token\n1\t2\n"))
    assert bare.ratings is bare.times is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("user_id\titem_id\n1\t2\n", "header field 'user_id' has no type"),
        ("user_id:token\titem_id:token_seq\n1\t2\n", "field item_id is of type token_seq"),
        ("user_id:token\tid:token\n1\t2\n", "no column 'item_id'; it has: user_id, id"),
        (f"{INTER}1,2,3,4\n", "line 2: 1 fields, expected 4 parted by '\\\\t'; the line is parted by ','"),
    ],
)
def test_inter_that_is_refused(text, content, message):
    with pytest.raises(DataError, match=message):
        from_inter(text(content))


@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=4),
            st.integers(-(2**63), 2**63 - 1),
            st.floats(0, 1e6, width=32),
            st.floats(-1e12, 1e12),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_there_and_back(rows, tmp_path_factory):
    users, items, ratings, times = zip(*rows, strict=True)
    made = from_frame(
        Frame(
            user_id=np.array(users, dtype=object),
            item_id=np.array(items),
            rating=np.array(ratings),
            time=np.array(times),
        ),
        rating="rating",
        time="time",
    )
    path = tmp_path_factory.mktemp("there") / "rows.inter"
    to_inter(made, path)
    back = from_inter(path)

    def table(seen):
        ids = [range(seen.num_items) if seen.item_ids is None else seen.item_ids.tolist()]
        names = range(seen.num_users) if seen.user_ids is None else seen.user_ids.tolist()
        columns = (seen.users.tolist(), seen.items.tolist(), seen.ratings.tolist(), seen.times.tolist())
        return {(str(names[user]), str(ids[0][item]), *rest) for user, item, *rest in zip(*columns, strict=True)}

    assert table(back) == table(made)


def test_ids_that_no_inter_file_holds(tmp_path):
    for wrong in ("a\tb", "a\nb", ""):
        named = Interactions(users=[0], items=[0], num_users=1, num_items=1, user_ids=np.array([wrong], dtype=object))
        with pytest.raises(DataError, match="to_inter: the id"):
            to_inter(named, tmp_path / "rows.inter")


# --- LightGCN -----------------------------------------------------------------------------------------------------


def test_adjacency_text(text):
    train, test = from_adjacency_text(text("0 3 1 3\n2\n\n1 0\n0 2\n", "train.txt"), text("4 6\n", "test.txt"))
    assert triples(train) == {(0, 3), (0, 1), (0, 2), (1, 0)}
    assert triples(test) == {(4, 6)}
    for part in (train, test):
        assert (part.num_users, part.num_items) == (5, 7)
    assert train.user_degrees.tolist() == [3, 1, 0, 0, 0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0 1\n1 a\n", "train.txt: line 2: 'a' is no whole number from 0"),
        ("0 1\n\n1 -2\n", "line 3: '-2' is no whole number"),
        ("0 1.0\n", "line 1: '1.0' is no whole number"),
        ("0,1\n", "line 1: '0,1' is no whole number"),
        ("0 1_0\n", "line 1: '1_0' is no whole number"),
        ("0 ١\n", "line 1: .* is no whole number"),
        (f"0 {2**31}\n", "line 1: 2147483648 is beyond 2147483647"),
        (f"{10**25} 1\n", "line 1: 10000000000000000000000000 is beyond"),
        ("", "holds no pair"),
        ("0\n1\n", "holds no pair"),
    ],
)
def test_adjacency_text_that_is_refused(text, content, message):
    with pytest.raises(DataError, match=message):
        from_adjacency_text(text(content, "train.txt"), text("0 1\n", "test.txt"))


# --- LensKit ------------------------------------------------------------------------------------------------------


def test_lenskit():
    data = pytest.importorskip("lenskit.data")
    pandas = pytest.importorskip("pandas")
    rows = {"user_id": ["b", "a", "b"], "item_id": [30, 10, 20], "rating": [1.0, 2.0, 3.0], "timestamp": [7, 8, 9]}
    seen = from_lenskit(data.from_interactions_df(pandas.DataFrame(rows)))
    assert triples(seen) == {("b", 30), ("a", 10), ("b", 20)}
    assert sorted(seen.ratings.tolist()) == [1.0, 2.0, 3.0]
    assert sorted(seen.times.tolist()) == [7.0, 8.0, 9.0]
    builder = data.DatasetBuilder()
    builder.add_entities("user", ["x", "y"])
    builder.add_entities("item", [1, 2, 3])
    clicks = pandas.DataFrame({"user_id": ["x", "x"], "item_id": [2, 3]})
    builder.add_interactions("click", clicks, entities=["user", "item"], missing="error")
    clicked = from_lenskit(builder.build())
    assert (clicked.num_users, clicked.num_items, len(clicked)) == (2, 3, 2)
    assert clicked.ratings is clicked.times is None
