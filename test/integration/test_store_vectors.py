"""The test store agrees with every vector: signatures, ranges, listings, errors."""
import base64
import datetime
import http.client
import json
import re
import urllib.parse
import xml.etree.ElementTree as ET

import pytest

from store import Store, TOP

VECTORS = TOP / "test" / "vectors"


def load(name):
    return json.loads((VECTORS / name).read_text())


def named(vectors):
    return pytest.mark.parametrize("vector", vectors, ids=lambda v: v["name"])


def quote(text, safe=""):
    return urllib.parse.quote(text, safe=safe + "-._~")


def query_string(pairs):
    return "&".join(quote(k) + ("" if v is None else "=" + quote(v)) for k, v in pairs)


def ask(store, method, target, headers, body=None):
    """One request exactly as given; -> (status, headers, body)."""
    c = http.client.HTTPConnection(store.host, store.port, timeout=20)
    c.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    if not any(name.lower() == "host" for name in headers):
        c.putheader("Host", store.http)
    for name, value in headers.items():
        if name.lower() != "content-length":
            c.putheader(name, value)
    if body is not None or method in ("PUT", "POST"):
        c.putheader("Content-Length", str(len(body or b"")))
    c.endheaders(body)
    r = c.getresponse()
    data = r.read()
    c.close()
    return r.status, {k.lower(): v for k, v in r.getheaders()}, data


def code_of(data):
    found = re.search(rb"<Code>([^<]*)</Code>", data)
    return found.group(1).decode() if found else None


# ---- signatures ----

SUFFIXES = ("--host-suffix", "oss-cn-hangzhou.aliyuncs.com", "--host-suffix", "s3.us-east-1.amazonaws.com",
            "--host-suffix", "s3.amazonaws.com", "--host-suffix", "s3.oss-cn-hangzhou.aliyuncs.com")


def judge(vector, method, target, headers, region, product="oss", token=None):
    """Send it at its own time; the store must verify it, and refuse it with one character changed."""
    i = vector["input"]
    keys = [(i["access_key_id"], i["access_key_secret"]) + ((token,) if token else ())]
    with Store("--product", product, *SUFFIXES, keys=keys, region=region, buckets=()) as store:
        store.clock(at=i["unix_time"])
        ask(store, method, target, headers)
        counters = store.counters()
        assert (counters["verified"], counters["refused"]) == (1, 0), vector["name"]
        other = "POST" if method != "POST" else "PUT"
        status, _, data = ask(store, other, target, headers)
        assert store.counters()["refused"] == 1
        assert status == 403 and code_of(data) == "SignatureDoesNotMatch"


def oss_target(i, extra=""):
    """Path style, or with the bucket in Host where the vector signs a Host."""
    host = {k.lower(): v for k, v in i["headers"].items()}.get("host", "")
    path = "/" if not i.get("bucket") or host.startswith(f"{i['bucket']}.") else f"/{i['bucket']}/"
    target = path + quote(i.get("key") or "", "/")
    query = "&".join(q for q in (query_string(i["query"]), extra) if q)
    return f"{target}?{query}" if query else target


@named(load("v4_header.json")["vectors"])
def test_v4_headers_are_verified(vector):
    i, e = vector["input"], vector["expected"]
    headers = {**i["headers"], **e["wire_headers_added"], "Authorization": e["authorization"]}
    if i["security_token"]:
        headers["x-oss-security-token"] = i["security_token"]
    judge(vector, i["method"], oss_target(i), headers, i["region"], i["product"], i["security_token"])


@named(load("v4_presigned.json")["vectors"])
def test_v4_queries_are_verified(vector):
    i = vector["input"]
    judge(vector, i["method"], oss_target(i, vector["expected"]["wire_query"]
                                          if not i["query"] else own_part(vector)),
          i["headers"], i["region"], i["product"], i["security_token"])


def own_part(vector):
    """The signature's parameters: some wire queries hold those of the request as well."""
    names = {quote(k) for k, _ in vector["input"]["query"]}
    return "&".join(p for p in vector["expected"]["wire_query"].split("&") if p.split("=")[0] not in names)


@named(load("v1.json")["vectors"])
def test_v1_is_verified(vector):
    i, e = vector["input"], vector["expected"]
    if i["expires_unix"] is not None:
        judge(vector, i["method"], oss_target(i, own_part(vector)), i["headers"], "cn-hangzhou",
              token=i["security_token"])
        return
    headers = {**i["headers"], "Authorization": e["authorization"], "Date": e["date_header"]}
    if i["security_token"]:
        headers["x-oss-security-token"] = i["security_token"]
    judge(vector, i["method"], oss_target(i), headers, "cn-hangzhou", token=i["security_token"])


def amz_date(t):
    return datetime.datetime.fromtimestamp(t, datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")


@named(load("s3_sigv4.json")["vectors"])
def test_sigv4_is_verified(vector):
    i, e = vector["input"], vector["expected"]
    target = quote(i["path"], "/")
    headers = {"Host": i["host"], **i["headers"]}
    if "wire_query" in e:
        target += "?" + e["wire_query"]
    else:
        if i["query"]:
            target += "?" + query_string(i["query"])
        headers.update({"x-amz-date": amz_date(i["unix_time"]), "x-amz-content-sha256": i["payload_hash"],
                        "Authorization": e["authorization"]})
        if i["session_token"]:
            headers["x-amz-security-token"] = i["session_token"]
    judge(vector, i["method"], target, headers, i["region"], token=i["session_token"])


def test_a_request_is_refused_when_its_time_has_passed():
    vector = load("v4_header.json")["vectors"][0]
    i, e = vector["input"], vector["expected"]
    headers = {**e["wire_headers_added"], "Authorization": e["authorization"]}
    with Store(keys=[(i["access_key_id"], i["access_key_secret"])], buckets=(i["bucket"],)) as store:
        for off, expected in ((899, "NoSuchKey"), (-899, "NoSuchKey"), (901, "RequestTimeTooSkewed"),
                              (-901, "RequestTimeTooSkewed")):
            store.clock(at=i["unix_time"] + off)
            status, answer, data = ask(store, "GET", oss_target(i), headers)
            assert code_of(data) == expected, off
            if expected == "RequestTimeTooSkewed":
                assert status == 403 and b"<MaxAllowedSkewMilliseconds>900000<" in data
                assert b"<RequestTime>2026-01-02T03:04:05.000Z<" in data


# ---- ranges ----

def range_rows():
    return [(row["size"], row["range"], column, row[column]) for row in load("range.json")["cases"]
            for column in ("oss_default", "oss_standard", "s3")]


@pytest.fixture(scope="module")
def open_store():
    with Store(keys=[]) as store:
        for size in (0, 1000):
            store.put(f"bucket/of{size}", bytes(range(250)) * (size // 250))
            store.synth(f"bucket/synth{size}", size)
        yield store


@pytest.mark.parametrize("kind", ["of", "synth"])
@pytest.mark.parametrize("size,text,column,wanted", range_rows())
def test_ranges_are_as_documented(open_store, kind, size, text, column, wanted):
    headers = {"oss_default": {}, "oss_standard": {"x-oss-range-behavior": "standard"},
               "s3": {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}}[column]
    whole = ask(open_store, "GET", f"/bucket/{kind}{size}", {})[2]
    assert len(whole) == size
    status, answer, data = ask(open_store, "GET", f"/bucket/{kind}{size}", {**headers, "Range": text})
    assert status == wanted["status"]
    if status == 416:
        assert code_of(data) == wanted["code"]
        return
    assert answer.get("content-range") == wanted["content_range"]
    assert int(answer["content-length"]) == len(data) == wanted["content_length"]
    first = int(re.match(r"bytes (\d+)-", wanted["content_range"]).group(1)) if status == 206 else 0
    assert data == whole[first:first + len(data)]


# ---- listings ----

@pytest.fixture(scope="module")
def model_bucket():
    with Store(keys=[], buckets=("model-bucket",)) as store:
        for o in load("list_xml.json")["objects"]:
            when = datetime.datetime.fromisoformat(o["last_modified"].replace("Z", "+00:00"))
            more = {"restore": o["restore"]} if o["restore"] else {}
            store.synth(f"model-bucket/{o['key']}", o["size"], etag=o["etag"], type=o["type"],
                        storage_class=o["storage_class"], last_modified=int(when.timestamp()), crc=False, **more)
        yield store


def flat(element):
    """(name, text, children) without namespaces, so that documents can be compared."""
    return (element.tag.split("}")[-1], (element.text or "").strip(), [flat(child) for child in element])


@named(load("list_xml.json")["cases"])
def test_listings_are_as_captured(model_bucket, vector):
    headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"} if vector["dialect"] == "s3" else {}
    status, _, data = ask(model_bucket, "GET", "/model-bucket/?" + query_string(vector["query"]), headers)
    assert status == 200
    assert (b"xmlns" in data) == (vector["dialect"] == "s3")
    assert flat(ET.fromstring(data)) == flat(ET.fromstring(vector["response_xml"]))


# ---- errors ----

def rows():
    return load("errors_xml.json")["cases"]


@named(rows())
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_every_error_can_be_asked_for(open_store, vector, method):
    open_store.clear()
    target = "models/none" if vector["code"] == "NoSuchKey" else "cold/old.bin"
    open_store.fault(f"{method} bucket/{target}", "status", status=vector["status"], code=vector["name"], times=1)
    status, answer, data = ask(open_store, method, f"/bucket/{target}", {})
    assert status == vector["status"]
    for name in ("Content-Type", "Server", "x-oss-ec", "x-oss-qos-delay-time"):
        assert answer.get(name.lower()) == vector["headers"].get(name), name
    if method == "HEAD":
        assert data == b""
        data = base64.b64decode(answer["x-oss-err"])
    else:
        assert "x-oss-err" not in answer
    got, wanted = ET.fromstring(data), ET.fromstring(vector["body"])
    for name in ("Code", "Message", "EC", "RecommendDoc"):
        assert got.findtext(name) == wanted.findtext(name)
    assert got.findtext("RequestId") == answer["x-oss-request-id"] and len(answer["x-oss-request-id"]) == 24
    if vector["code"] != "SignatureDoesNotMatch":  # nothing was signed: there is no string to tell
        assert {e.tag for e in got} >= {e.tag for e in wanted}


def error(store, method, target, headers=None, body=None):
    status, answer, data = ask(store, method, target, headers or {}, body)
    return status, code_of(data)


def test_errors_come_about_by_themselves(open_store):
    s = open_store
    s.clear()
    assert error(s, "GET", "/bucket/none") == (404, "NoSuchKey")
    assert error(s, "GET", "/no-such-bucket/x") == (404, "NoSuchBucket")
    assert error(s, "GET", "/no-such-bucket/?list-type=2") == (404, "NoSuchBucket")
    assert error(s, "PUT", "/no-such-bucket/x", body=b"1") == (404, "NoSuchBucket")
    assert error(s, "GET", "/Bad_Bucket/x") == (400, "InvalidBucketName")
    assert error(s, "GET", "/bucket/" + "k" * 1024) == (400, "InvalidObjectName")
    assert error(s, "GET", "/bucket/a%00b") == (400, "InvalidObjectName")
    assert error(s, "PUT", "/bucket/x?partNumber=1&uploadId=none", body=b"1") == (404, "NoSuchUpload")
    assert error(s, "GET", "/bucket/?max-keys=1001") == (400, "InvalidArgument")
    assert error(s, "GET", "/bucket/?max-keys=0") == (400, "InvalidArgument")
    assert error(s, "GET", "/bucket/?list-type=2&continuation-token=%25") == (400, "InvalidArgument")
    assert error(s, "GET", "/bucket/of1000", {"Range": "bytes=1000-", "x-oss-range-behavior": "standard"}) == \
        (416, "InvalidRange")
    assert error(s, "GET", "/bucket/of1000", {"If-Match": '"x"'}) == (412, "PreconditionFailed")
    assert error(s, "PUT", "/bucket/x", {"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, b"1") == (400, "InvalidDigest")
    assert error(s, "PUT", "/bucket/of1000", {"x-oss-forbid-overwrite": "true"}, b"1") == (409, "FileAlreadyExists")
    assert error(s, "POST", "/bucket/?delete", body=b"<Delete></Delete>")[0] == 400
    assert error(s, "GET", "/bucket/of1000?acl") == (501, "NotImplemented")


def test_an_archived_object_must_be_restored_first(open_store):
    s = open_store
    s.synth("bucket/cold.bin", 100, storage_class="Archive")
    assert ask(s, "HEAD", "/bucket/cold.bin", {})[0] == 200
    assert error(s, "GET", "/bucket/cold.bin") == (403, "InvalidObjectState")
    assert ask(s, "POST", "/bucket/cold.bin?restore", {})[0] == 202
    assert error(s, "POST", "/bucket/cold.bin?restore") == (409, "RestoreAlreadyInProgress")
    assert ask(s, "HEAD", "/bucket/cold.bin", {})[1]["x-oss-restore"] == 'ongoing-request="true"'
    s.set_object("bucket/cold.bin", restore='ongoing-request="false", expiry-date="Sat, 03 Jan 2026 03:04:05 GMT"')
    assert ask(s, "GET", "/bucket/cold.bin", {})[0] == 200


def test_a_bucket_of_another_place_names_its_endpoint(open_store):
    open_store.bucket("elsewhere", endpoint="oss-cn-beijing.aliyuncs.com")
    status, _, data = ask(open_store, "GET", "/elsewhere/x", {})
    assert (status, code_of(data)) == (403, "AccessDenied")
    assert b"<Endpoint>oss-cn-beijing.aliyuncs.com</Endpoint>" in data and b"<Bucket>elsewhere</Bucket>" in data


def test_path_style_can_be_forbidden():
    with Store("--virtual-only", keys=[]) as store:
        store.put("bucket/k", b"1")
        assert error(store, "GET", "/bucket/k") == (403, "SecondLevelDomainForbidden")
        assert ask(store, "GET", "/k", {"Host": "bucket.oss.test.local"})[2] == b"1"


def test_without_a_key_only_anonymous_buckets_can_be_read():
    with Store(anonymous=["open"], buckets=("open", "closed")) as store:
        store.put("open/k", b"1")
        store.put("closed/k", b"1")
        assert ask(store, "GET", "/open/k", {})[0] == 200
        assert ask(store, "GET", "/open/?list-type=2", {})[0] == 200
        assert error(store, "GET", "/closed/k") == (403, "AccessDenied")
        assert error(store, "PUT", "/open/k", body=b"2") == (403, "AccessDenied")
        assert error(store, "DELETE", "/open/k") == (403, "AccessDenied")
        assert error(store, "GET", "/") == (403, "AccessDenied")


# ---- checksums ----

def described(vector):
    """The bytes that a checksum vector is about, where its description says how to make them."""
    text = vector["data"]
    if text == "empty":
        return b""
    if text.startswith("ascii ") and len(text) - 6 == vector["length"]:
        return text[6:].encode()
    found = re.fullmatch(r"(\d+) (zero bytes?|bytes? 0xff)", text)
    if found:
        return (b"\0" if "zero" in text else b"\xff") * int(found.group(1))
    return bytes(range(32)) if text == "bytes 00..1f" else None


@named([v for v in load("crc64.json")["vectors"] if described(v) is not None])
def test_checksums_are_right(open_store, vector):
    _, answer, _ = ask(open_store, "PUT", "/bucket/sum", {}, described(vector))
    assert answer["x-oss-hash-crc64ecma"] == vector["ecma_dec"]
    _, answer, _ = ask(open_store, "GET", "/bucket/sum", {"x-amz-checksum-mode": "ENABLED"})
    assert answer["x-amz-checksum-crc64nvme"] == vector["nvme_b64"]


def test_a_joined_object_has_the_checksum_of_the_whole(open_store):
    pieces = [bytes([i]) * (100 * 1024 + i) for i in range(3)]
    _, _, data = ask(open_store, "POST", "/bucket/joined?uploads", {})
    upload = re.search(rb"<UploadId>(.*)</UploadId>", data).group(1).decode()
    parts = ""
    for i, piece in enumerate(pieces):
        _, answer, _ = ask(open_store, "PUT", f"/bucket/joined?partNumber={i + 1}&uploadId={upload}", {}, piece)
        parts += f"<Part><PartNumber>{i + 1}</PartNumber><ETag>{answer['etag']}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    status, joined, _ = ask(open_store, "POST", f"/bucket/joined?uploadId={upload}", {}, document)
    _, whole, _ = ask(open_store, "PUT", "/bucket/whole", {}, b"".join(pieces))
    assert status == 200 and joined["x-oss-hash-crc64ecma"] == whole["x-oss-hash-crc64ecma"]
    assert ask(open_store, "GET", "/bucket/joined", {})[2] == b"".join(pieces)
