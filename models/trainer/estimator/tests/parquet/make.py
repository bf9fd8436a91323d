"""Writes the Parquet files of the tests with pyarrow (26.0 wrote those that are here): `python make.py` in this folder."""

import numpy
import pyarrow
from pyarrow import parquet

ROWS = 40


def table(rows=ROWS):
    """A label, a weight and five features of the numeric kinds; every seventh value of `float` is missing."""
    place = numpy.arange(rows)
    floats = [None if row % 7 == 6 else row / 4 for row in range(rows)]
    return pyarrow.table(
        {
            "label": pyarrow.array((place % 2).astype("int64")),
            "weight": pyarrow.array(place / 8 + 0.5),
            "bool": pyarrow.array((place % 3 == 0).tolist()),
            "byte": pyarrow.array((place - 20).astype("int8")),
            "large": pyarrow.array((4_000_000_000 - place * 256).astype("uint32")),
            "float": pyarrow.array(floats, pyarrow.float32()),
            "double": pyarrow.array(place * -0.5),
        }
    )


def write(name, data, **options):
    parquet.write_table(data, name, **options)


def main():
    rows = table()
    # The same rows in every compression, with data pages of both versions and the usual encodings.
    write("plain.parquet", rows, compression="none", use_dictionary=False)
    write("snappy.parquet", rows, row_group_size=16)
    write("gzip.parquet", rows, compression="gzip", row_group_size=7, data_page_version="2.0")
    write("zstd.parquet", rows, compression="zstd", data_page_version="2.0", use_dictionary=["label", "byte"])
    write("snappy2.parquet", rows, row_group_size=16, data_page_version="2.0")
    write(
        "encodings.parquet",
        rows,
        use_dictionary=False,
        compression="zstd",
        column_encoding={
            "label": "DELTA_BINARY_PACKED",
            "weight": "BYTE_STREAM_SPLIT",
            "byte": "DELTA_BINARY_PACKED",
            "float": "BYTE_STREAM_SPLIT",
            "bool": "RLE",
        },
    )
    # What is refused.
    write("brotli.parquet", rows, compression="brotli")
    write("narrow.parquet", rows.drop_columns(["double"]))
    write("no_label.parquet", pyarrow.table({"label": [1.0, None], "x": [1.0, 2.0]}))
    write("bad_weight.parquet", pyarrow.table({"label": [1.0, 0.0], "w": [1.0, -1.0], "x": [1.0, 2.0]}))
    write("text.parquet", pyarrow.table({"label": [1.0], "city": ["Oslo"]}))
    write("nested.parquet", pyarrow.table({"label": [1.0], "point": [{"x": 1.0}]}))
    write("list.parquet", pyarrow.table({"label": [1.0], "history": [[1.0, 2.0]]}))
    write("date.parquet", pyarrow.table({"label": [1.0], "day": pyarrow.array([19000], pyarrow.date32())}))
    write("time.parquet", pyarrow.table({"label": [1.0], "at": pyarrow.array([19000], pyarrow.timestamp("us"))}))
    write("decimal.parquet", pyarrow.table({"label": [1.0], "price": pyarrow.array([1], pyarrow.decimal128(5, 2))}))
    write("empty.parquet", rows.slice(0, 0))


if __name__ == "__main__":
    main()
