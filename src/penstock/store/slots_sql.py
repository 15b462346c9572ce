"""The named SQL of concurrency limits and of the slots that are taken of them."""

from __future__ import annotations

_LIMIT_COLUMNS = """id, name, slots, active, slot_decay_per_second, decaying_slots,
    decaying_since, created, updated"""

# A limit, as it is asked for: by its name, by its id; all of them, or those of tags.
READ_LIMIT_BY_NAME = f"select {_LIMIT_COLUMNS} from concurrency_limit where name = ?"
READ_LIMIT = f"select {_LIMIT_COLUMNS} from concurrency_limit where id = ?"
READ_LIMITS = f"select {_LIMIT_COLUMNS} from concurrency_limit order by name"
READ_LIMITED_TAGS = """select substr(name, 5) from concurrency_limit
where name like 'tag:%' and active = 1"""

# A name that nobody has set a limit for is noted when it is first used; it limits nothing.
INSERT_LIMIT = """insert or ignore into concurrency_limit (
    id, name, slots, active, slot_decay_per_second, decaying_slots, decaying_since, created,
    updated
) values (?, ?, ?, ?, ?, 0.0, 0.0, ?, ?)"""

UPDATE_LIMIT = """update concurrency_limit
set name = ?, slots = ?, active = ?, slot_decay_per_second = ?, updated = ? where id = ?"""

# What has been taken of a rate limit and is not free again: how much, and at which time.
UPDATE_DECAY = """update concurrency_limit set decaying_slots = ?, decaying_since = ?
where id = ?"""

DELETE_LIMIT = "delete from concurrency_limit where id = ?"
DELETE_SLOTS_OF_LIMIT = "delete from concurrency_slot where limit_id = ?"

# A limit is reset: its slots are free again, whoever has them; those who wait go on waiting.
DELETE_TAKEN_SLOTS_OF_LIMIT = """delete from concurrency_slot
where limit_id = ? and taken is not null"""

# How much of a limit is taken by those who hold it.
SUM_TAKEN_SLOTS = """select coalesce(sum(slots), 0) from concurrency_slot
where limit_id = ? and taken is not null"""

# The first of those who wait, in their order.
READ_FIRST_WAITING = """select id from concurrency_slot
where limit_id = ? and taken is null order by id limit ?"""

# The last of them: whoever comes now comes after.
READ_LAST_ID = """select id from concurrency_slot
where limit_id = ? and taken is null order by id desc limit 1"""

# Those of a limit whose processes may be dead.
READ_OWNERS = """select owner, max(lease_expires) from concurrency_slot
where limit_id = ? group by owner"""
DELETE_SLOTS_OF_OWNER = "delete from concurrency_slot where limit_id = ? and owner = ?"

INSERT_SLOT = """insert into concurrency_slot (
    limit_id, id, holder, flow_run_id, owner, lease_expires, slots, taken
) values (?, ?, ?, ?, ?, ?, ?, ?)"""
TAKE_SLOT = "update concurrency_slot set taken = ? where limit_id = ? and id = ?"
DELETE_SLOT = "delete from concurrency_slot where limit_id = ? and id = ?"

# What a process has: to say that it lives, and to see whether it was taken away meanwhile.
EXTEND_SLOTS = "update concurrency_slot set lease_expires = ? where owner = ?"
READ_IDS_OF_OWNER = "select limit_id, id from concurrency_slot where owner = ?"

# Who has slots of a limit, and who waits for them: those who have them first.
READ_SLOTS = """select id, holder, flow_run_id, owner, lease_expires, slots, taken
from concurrency_slot where limit_id = ? order by taken is null, id"""

# What a flow run, and its task runs, wait for.
READ_WAITS_OF_FLOW_RUN = """select l.name, s.holder, s.id
from concurrency_slot s join concurrency_limit l on l.id = s.limit_id
where s.flow_run_id = ? and s.taken is null order by s.id limit ?"""

# A rate limit is reset: all of it is free.
FORGET_DECAY = "update concurrency_limit set decaying_slots = 0.0 where id = ?"

# For a task run: how many slots of a tag's limit there are, and how many others have.
READ_TAG_LIMIT = """select l.slots, coalesce(sum(s.slots), 0)
from concurrency_limit l
left join concurrency_slot s on s.limit_id = l.id and s.taken is not null and s.id <> ?
where l.name = ? and l.active = 1 group by l.slots"""
