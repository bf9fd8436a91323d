"""A second implementation of batch transform: what AWS documents, written down in Python from its words alone; and random
objects and requests for it."""

import gzip
import json
import re
import struct

import harness

# Filters that pick all.
WHOLE = ("$", "$[*]")


class Fails(Exception):
    """An object that gets no output."""


def records_of(data, split):
    """(as it stands in the object, what a call of it alone carries) of each record."""
    if split == "None":
        return [(data, data)]
    if split == "Line":
        return [(line, line) for line in re.findall(rb"[^\n]*\n|[^\n]+", data)]
    return list((recordio if split == "RecordIO" else tfrecord)(data))


def recordio(data):
    at = 0
    while at < len(data):
        start, payload = at, b""
        while True:
            if len(data) < at + 8:
                raise Fails
            magic, word = struct.unpack_from("<II", data, at)
            length, part = word & ((1 << 29) - 1), word >> 29
            padded = (length + 3) // 4 * 4
            if magic != 0xCED7230A or len(data) < at + 8 + padded:
                raise Fails
            payload += data[at + 8 : at + 8 + length]
            at += 8 + padded
            if part in (0, 3):
                break
            payload += struct.pack("<I", 0xCED7230A)
        yield data[start:at], payload


def tfrecord(data):
    at = 0
    while at < len(data):
        if len(data) < at + 16:
            raise Fails
        (length,) = struct.unpack_from("<Q", data, at)
        end = at + 12 + length + 4
        if len(data) < end or crc(data[at : at + 8]) != data[at + 8 : at + 12] or crc(data[at + 12 : end - 4]) != data[end - 4 : end]:
            raise Fails
        yield data[at:end], data[at + 12 : end - 4]
        at = end


def batches_of(records, strategy, limit):
    """Greedy: a batch is as large as the limit, to the byte."""
    batch, size = [], 0
    for record in records:
        length = len(record[1] if strategy == "SingleRecord" else record[0])
        if length > limit:
            raise Fails
        if batch and (strategy == "SingleRecord" or size + length > limit):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += length
    if batch:
        yield batch


def picked(filter, values):
    """What an index list with slices picks of a list."""
    if filter in WHOLE:
        return values
    chosen = []
    for part in filter.removeprefix("$[").removesuffix("]").split(","):
        if ":" in part:
            start, end = (int(bound) if bound else None for bound in part.split(":"))
            chosen += values[start:end]
        else:
            try:
                chosen.append(values[int(part)])
            except IndexError:
                raise Fails from None
    if not chosen:
        raise Fails
    return chosen


def fields_of(line):
    """The fields of a CSV line, each as it stands there, quotes and all."""
    fields, field, is_quoted = [], "", False
    for letter in line:
        if letter == "," and not is_quoted:
            fields.append(field)
            field = ""
            continue
        is_quoted ^= letter == '"'
        field += letter
    if is_quoted:
        raise Fails
    return [*fields, field]


def without_end(line):
    for end in (b"\r\n", b"\n"):
        if line.endswith(end):
            return line[: -len(end)]
    return line


def processed(data, ask, members):
    """The output of an object of lines with DataProcessing."""
    is_json = members["ContentType"] == "application/jsonlines"
    out = b""
    records = records_of(data, "Line")
    for batch in batches_of(records, members.get("BatchStrategy", "MultiRecord"), members["limit"]):
        sent = b""
        for record, _ in batch:
            line = without_end(record)
            if (filter := members.get("InputFilter", "$")) != "$":
                line = (json_picked if is_json else csv_picked)(filter, line)
            sent += line + record[len(without_end(record)) :]
        whole = ask(sent)
        # Without a join and a filter answers are written as they come, however many they are.
        if members.get("JoinSource") != "Input" and members.get("OutputFilter", "$") in WHOLE:
            out += whole if whole.endswith(b"\n") or not whole else whole + b"\n"
            continue
        answers = whole.split(b"\n")
        if answers and answers[-1] == b"":
            answers.pop()
        if len(answers) != len(batch):
            raise Fails
        for (record, _), answer in zip(batch, answers, strict=True):
            line = without_end(record)
            if members.get("JoinSource") == "Input":
                answer = json_joined(line, answer) if is_json else line + b"," + answer
            if (filter := members.get("OutputFilter", "$")) != "$":
                answer = (json_picked if is_json else csv_picked)(filter, answer)
            out += answer + b"\n"
    return out


def csv_picked(filter, line):
    return ",".join(picked(filter, fields_of(line.decode("utf-8", "surrogateescape")))).encode("utf-8", "surrogateescape")


def json_loaded(line):
    try:
        return json.loads(line)
    except ValueError:
        raise Fails from None


def json_joined(line, answer):
    record, answer = json_loaded(line), json_loaded(answer)
    joined = {**record, "SageMakerOutput": answer} if isinstance(record, dict) else {"SageMakerInput": record, "SageMakerOutput": answer}
    return json.dumps(joined).encode()


def json_picked(filter, line):
    value = json_loaded(line)
    if filter.startswith("$["):
        if "'" not in filter:
            if not isinstance(value, list):
                raise Fails
            chosen = picked(filter, value)
            return json.dumps(chosen if re.search("[:,*]", filter) else chosen[0]).encode()
        names = re.findall("'([^']*)'", filter)
        if not isinstance(value, dict) or any(name not in value for name in names):
            raise Fails
        return json.dumps({name: value[name] for name in names} if len(names) > 1 else value[names[0]]).encode()
    for name in filter.split(".")[1:]:
        if not isinstance(value, dict) or name not in value:
            raise Fails
        value = value[name]
    return json.dumps(value).encode()


def output_of(data, online, members):
    """The bytes of an object's output, or None."""
    try:
        if members.get("CompressionType") == "Gzip":
            try:
                data = gzip.decompress(data)
            except (OSError, EOFError):
                raise Fails from None
        if not data:
            return b""

        def ask(body):
            answer = online(body, members.get("ContentType"), members.get("Accept"))
            if answer is None:
                raise Fails
            return answer

        if {"InputFilter", "OutputFilter", "JoinSource"} & members.keys():
            return processed(data, ask, members)
        out = b""
        strategy = members.get("BatchStrategy", "MultiRecord")
        for batch in batches_of(records_of(data, members.get("SplitType", "None")), strategy, members["limit"]):
            answer = ask(b"".join(record[strategy == "SingleRecord"] for record in batch))
            if members.get("AssembleWith") == "Line" and answer and not answer.endswith(b"\n"):
                answer += b"\n"
            out += answer
        return out
    except Fails:
        return None


# Random objects.


def crc(data):
    """TFRecord's: CRC-32C, masked."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    value ^= 0xFFFFFFFF
    return struct.pack("<I", ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def framed(payload):
    length = struct.pack("<Q", len(payload))
    return length + crc(length) + payload + crc(payload)


def odd_csv(row, chance):
    line = harness.to_csv([row]).rstrip("\n")
    if chance.random() < 0.1:
        line = ", ".join(line.split(","))
    if chance.random() < 0.1:
        first, rest = line.split(",", 1)
        line = f'"{first}",{rest}'
    return line.encode() + (b"\r\n" if chance.random() < 0.1 else b"\n")


def odd_lines(rows, chance, write, strange):
    """Lines of good records, and of `strange` ones in one object of three."""
    lines = [write(chance.choice(rows), chance) for _ in range(chance.randrange(9))]
    for _ in range(chance.choice([0, 0, 1])):
        lines.insert(chance.randrange(len(lines) + 1), chance.choice(strange))
    body = b"".join(lines)
    if chance.random() < 0.3:
        body = body.removesuffix(b"\n")
    return body


STRANGE_CSV = [
    b"\n", b"\r\n", b" \n", "a,b,ü\n".encode(), b"1,2\n", b'"1,2\n', b"\xff\xfe,1\n", b"\0\n", b",\n", b"\xef\xbb\xbf1,2\n", b"1;2\n", b"\t\n",
]  # fmt: skip
STRANGE_JSON = [b"\n", b"{}\n", b"[]\n", b'{"features": []}\n', b"{\n", b'"x"\n', b"null\n", b'{"features": "a"}\n', "{\"ü\": 1}\n".encode()]


def odd_csv_object(rows, chance):
    return odd_lines(rows, chance, odd_csv, STRANGE_CSV)


def odd_json_lines(rows, chance):
    return odd_lines(rows, chance, lambda row, _: harness.to_json_lines([row]).encode(), STRANGE_JSON)


def odd_libsvm(rows, chance):
    return odd_lines(rows, chance, lambda row, _: harness.to_libsvm([row]).encode(), [b"\n", b"0\n", b"# x\n", b"0 x:1\n"])


def odd_json(rows, chance):
    body = harness.to_json([chance.choice(rows) for _ in range(chance.randrange(4))]).encode()
    return chance.choice([body, body, body, body + b"\n", b"", b"\n", b"{", b"[1, 2]", b'{"a": 1}'])


def odd_recordio(rows, chance):
    body = harness.to_recordio([chance.choice(rows) for _ in range(chance.randrange(1, 6))])
    return chance.choice([body, body, body, body, b"", body[:-1], body + b"x", b"x" + body[1:], body[:-9], body + body[:8]])


def odd_tfrecord(rows, chance):
    body = b"".join(framed(odd_csv(chance.choice(rows), chance)) for _ in range(chance.randrange(1, 5)))
    wrong = bytes([*body[:-1], body[-1] ^ 1])
    return chance.choice([body, body, body, b"", body[:-1], body + b"12345678", wrong])


OBJECTS = {
    "text/csv": odd_csv_object,
    None: odd_csv_object,
    "text/libsvm": odd_libsvm,
    "application/jsonlines": odd_json_lines,
    "application/json": odd_json,
    "application/x-recordio-protobuf": odd_recordio,
}
NAMES = ["a.csv", "sub/deeper/b", "c+d e%20f.csv", "ü/語.json", "UPPER.CSV", "no-ending", "x.out", "p=1/q=2/x.csv.gz", "~tilde'()!*", "9"]


def settings_of(chance):
    """Some request that AWS allows."""
    kind, split = chance.choice([
        ("text/csv", "Line"), ("text/csv", "Line"), ("text/csv", "Line"), ("text/csv", "None"), (None, "Line"), ("text/libsvm", "Line"),
        ("application/jsonlines", "Line"), ("application/jsonlines", "Line"), ("application/json", "None"), ("application/jsonlines", "None"),
        ("application/x-recordio-protobuf", "RecordIO"), ("application/x-recordio-protobuf", "None"), ("text/csv", "TFRecord"),
    ])  # fmt: skip
    members = {"ContentType": kind, "SplitType": split, "Accept": chance.choice([None, "text/csv", "application/json", "application/jsonlines"])}
    members["BatchStrategy"] = chance.choice(["MultiRecord", "SingleRecord"]) if split != "RecordIO" else "MultiRecord"
    if split == "TFRecord":
        members["BatchStrategy"] = "SingleRecord"
    members["AssembleWith"] = chance.choice(["None", "Line"])
    members["MaxConcurrentTransforms"] = chance.choice([0, 1, 8])
    members["CompressionType"] = chance.choice(["None", "None", "Gzip"])
    members["limit"] = chance.choice([200, 400, 1000, 5000])
    if kind in ("text/csv", "application/jsonlines") and split == "Line" and chance.random() < 0.6:
        members.update(Accept=kind, AssembleWith="Line", JoinSource=chance.choice(["Input", "None"]))
        members.update((csv_filters if kind == "text/csv" else json_filters)(chance))
    return members


def csv_filters(chance):
    return {
        "InputFilter": chance.choice(["$", "$[:]", "$[0:]", "$[:30]", "$[*]", "$[0,1:]", "$[29,:29]"]),
        "OutputFilter": chance.choice(["$", "$[-1]", "$[0]", "$[0,-1]", "$[:2]", "$[-2:]", "$[3,1:3]", "$[*]", "$[30]"]),
    }


def json_filters(chance):
    return {
        "InputFilter": chance.choice(["$", "$", "$.features"]),
        "OutputFilter": chance.choice(["$", "$.SageMakerOutput", "$['features','SageMakerOutput']", "$.SageMakerOutput.score", "$.score"]),
    }
