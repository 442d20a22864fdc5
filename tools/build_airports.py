"""Build the demo's airport table from the wheel `airportsdata` (MIT).

    pip install airportsdata==20260905 && python tools/build_airports.py

Writes src/lakehouse/demo/airports.parquet: one row per airport, sorted by ICAO code, empty texts
as NULL. The same wheel gives the same rows; version, date and licence are in the file's metadata.
"""

import sys
from pathlib import Path

import airportsdata  # type: ignore[import-not-found]  # installed for this alone, see above
import pyarrow as pa
import pyarrow.parquet as pq

TARGET = Path(__file__).parents[1] / "src" / "lakehouse" / "demo" / "airports.parquet"
TEXTS = ("icao", "iata", "name", "city", "subd", "country", "tz")


def main() -> None:
    airports = sorted(airportsdata.load("ICAO").values(), key=lambda airport: airport["icao"])
    columns: dict[str, pa.Array] = {
        name: pa.array([airport[name] or None for airport in airports], pa.string())
        for name in TEXTS
    }
    columns["elevation_ft"] = pa.array([round(a["elevation"]) for a in airports], pa.int32())
    columns["lat"] = pa.array([a["lat"] for a in airports], pa.float64())
    columns["lon"] = pa.array([a["lon"] for a in airports], pa.float64())
    version = airportsdata.__version__
    table = pa.table(columns).replace_schema_metadata(
        {
            "source": f"airportsdata {version}, https://github.com/mborsetti/airportsdata",
            "date": f"{version[:4]}-{version[4:6]}-{version[6:8]}",
            "license": "MIT, Copyright (c) 2020- Mike Borsetti",
        }
    )
    pq.write_table(table, TARGET, compression="zstd", compression_level=19)
    print(f"{TARGET.name}: {table.num_rows} rows, {TARGET.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
