"""What the tests of an example share: its folder on the path, and records small enough to know.

An example is a script beside modules of its own: they are found here as when the script runs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "examples" / "flights"))

# Four flights of January and one of February, small enough to know every figure by heart.
CSV_FILES = {
    "flights": """\
year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,\
tailnum,origin,dest,air_time,distance,hour,minute,time_hour
2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,630,600,30,900,840,20,UA,461,N668DN,EWR,SJU,116,762,6,0,2013-01-01T11:00:00Z
2013,1,1,NA,630,NA,NA,740,NA,B6,79,NA,JFK,MCO,NA,944,6,30,2013-01-01T11:00:00Z
2013,1,2,559,600,-1,NA,837,NA,B6,507,N516JB,JFK,MCO,NA,944,6,0,2013-01-02T11:00:00Z
2013,2,3,555,600,-5,720,730,-10,B6,507,N516JB,JFK,MCO,150,944,6,0,2013-02-03T11:00:00Z
""",
    "weather": """\
origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,\
time_hour
EWR,2013,1,1,5,39.02,28.04,64.43,260,12.65858,NA,0,1011.9,10,2013-01-01T10:00:00Z
EWR,2013,1,1,6,37.94,28.04,67.21,240,1048.36058,NA,0,1012.4,10,2013-01-01T11:00:00Z
JFK,2013,1,1,6,30.2,28.04,67.21,240,11.5,NA,0.02,1012.4,1,2013-01-01T11:00:00Z
JFK,2013,1,2,6,37.94,28.04,67.21,240,11.5,NA,0.02,1012.4,1,2013-01-02T11:00:00Z
""",
    "planes": """\
tailnum,year,type,manufacturer,model,engines,seats,speed,engine
N14228,1999,Fixed wing multi engine,BOEING,737-824,2,149,NA,Turbo-fan
N668DN,NA,Fixed wing multi engine,BOEING,757-232,2,178,NA,Turbo-fan
N516JB,2000,Fixed wing multi engine,AIRBUS INDUSTRIE,A320-232,2,200,NA,Turbo-fan
""",
    "airports": """\
faa,name,lat,lon,alt,tz,dst,tzone
IAH,George Bush Intercontinental,29.984433,-95.341442,97,-6,A,America/Chicago
MCO,Orlando Intl,28.429394,-81.308994,96,-5,A,America/New_York
""",
    "airlines": "carrier,name\nUA,United Air Lines Inc.\nB6,JetBlue Airways\n",
}


@pytest.fixture
def csv_files():
    """The text of each of the five small files."""
    return dict(CSV_FILES)


@pytest.fixture
def folder(tmp_path):
    """A folder with the five small files."""
    made = tmp_path / "data"
    made.mkdir()
    for table, text in CSV_FILES.items():
        (made / f"{table}.csv").write_text(text)
    return made
