"""What others wrote goes into errors, log lines and rows without keys, and not without end."""

import time

import pytest

from lakehouse.core.errors import InfraError
from lakehouse.core.redaction import MARK, TEXT_CHARS_MAX, redact

# Made for these tests: no service knows them.
KEYS = {
    "openai": "sk-abcdEFGH1234ijklMNOP5678",
    "openai project": "sk-proj-abc_DEF-123456789012345678",
    "anthropic": "sk-ant-api03-abcDEF_ghi-123456",
    "openrouter": "sk-or-v1-0123456789abcdef0123456789abcdef",
    "langfuse": "sk-lf-0123abcd-4567-89ef-0123-456789abcdef",
    "stripe": "sk_live_abcdefghijklmnop",
    "google": "AIzaSyA-1234567890abcdefghijklmnopqrstu",
    "google oauth": "ya29.a0AbCdEfGh_12345-6789",
    "hugging face": "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH",
    "groq": "gsk_abcdefghijklmnopqrstuvwxyz0123456789",
    "xai": "xai-abcdefghij0123456789",
    "replicate": "r8_abcdefghij0123456789",
    "perplexity": "pplx-abcdefghij0123456789",
    "nvidia": "nvapi-abcdefghij_0123456789",
    "github": "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github fine": "github_pat_11ABCDEFG0abcdefghij_klmnop",
    "gitlab": "glpat-abcdefghij0123456789",
    "slack": "xoxb-123456789012-abcdefghijkl",
    "aws id": "AKIAIOSFODNN7EXAMPLE",
    "aws session": "ASIAIOSFODNN7EXAMPLE",
    "ours": "lh_abcdefghijklmnopqrstuvwxyz-0123456789_ABCDEFG",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcDEF123_-xyz",
    "cut jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0",
    "masked": "sk-abcd****************wxyz",
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize(
    "frame",
    [
        "Incorrect API key provided: {}. You can find yours at our site.",
        '{{"error":{{"message":"bad key {}"}}}}',
        "{}",
        "model({})failed",
        "https://api.example.com/v1/models/{}:generate",
        "line one\n{}\nline three",
    ],
)
def test_a_key_is_cut_out_by_its_shape(key: str, frame: str):
    found = redact(frame.format(key))
    assert key not in found
    assert MARK in found
    assert key[-6:] not in found


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdefghijklmnop", "abcdefghijklmnop"),
        ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("Authorization: 0123456789abcdef", "0123456789abcdef"),
        ("Proxy-Authorization: Digest username=joe, nonce=17aa", "17aa"),
        ('{"Authorization": "Token 99aa88bb"}', "99aa88bb"),
        ("headers={'authorization': 'secretvalue'}", "secretvalue"),
        ("sent Bearer c2VjcmV0LXZhbHVl to it", "c2VjcmV0LXZhbHVl"),
        ("Cookie: session=abcd; other=efgh", "efgh"),
        ("x-api-key: 0123456789abcdef", "0123456789abcdef"),
        ("api-key=0123456789abcdef0123456789abcdef", "0123456789abcdef"),
        ("AZURE_API_KEY=00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff"),
        ("Ocp-Apim-Subscription-Key: 00112233445566778899aabbccddeeff", "aabbccddeeff"),
        ('"api_key": "plainword"', "plainword"),
        ('{\\"api_key\\": \\"plainword\\"}', "plainword"),
        ("client_secret=plainword", "plainword"),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "wJalrXUtnFEMI"),
        ("password: hunter22", "hunter22"),
        ("API key 00112233445566778899aabbccddeeff is not valid", "00112233445566778899"),
        ("https://user:pass@host/v1", "user:pass"),
        ("cannot reach http://onlytoken@host:80/x", "onlytoken"),
        ("socks5://joe:p%40ss@proxy:1080", "p%40ss"),
        ("GET https://host/v1beta/models?key=abc.def-1", "abc.def-1"),
        ("https://host/openai?api-version=2024-10-21&api-key=zzz", "zzz"),
        ("https://host/x?access_token=qqqq&y=1", "qqqq"),
        ("https://host/x?X-Amz-Signature=fe5f80&X-Amz-Date=1", "fe5f80"),
        ("https://host/c?sv=2020&sig=abc%2Fdef%3D", "abc%2Fdef"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabcd\n-----END RSA PRIVATE KEY-----", "MIIE"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEcut", "MIIEcut"),
    ],
)
def test_a_key_is_cut_out_by_what_stands_before_it(text: str, secret: str):
    found = redact(text)
    assert secret not in found
    assert MARK in found


@pytest.mark.parametrize(
    "text",
    [
        "You exceeded your current quota, please check your plan and billing details.",
        "This model's maximum context length is 4096 tokens; your messages took 5012 tokens.",
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate",
        "Connect call failed ('127.0.0.1', 4110)",
        "https://api.example.com/v1/chat/completions?api-version=2024-10-21: status 404",
        "Bearer token is missing in the Authorization header",
        "Basic authentication is required",
        "API key: missing",
        "$REMOTE_API_KEY is named by api_key_env in lakehouse.toml, but is not set.",
        "Unexpected token: '<' at line 1 column 1",
        "max_tokens: 512 is too large; max_completion_tokens is allowed",
        "disk-full-emergency-stop risk-assessment-engine task-management-system",
        "session 0af7651916cd43dd8448eb211c80319c, row 6f1c0a3d9be4475c8c11f0d9b2aa7e10",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "model 'hf-internal-testing/tiny-random-llama' is not found",
    ],
)
def test_what_is_no_key_stays(text: str):
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("refused hunter2 here", "hunter2"),
        ("https://host/?q=a%2Fb%20c%3D", "a/b c="),
        ("https://host/?q=a%2Fb+c%3D", "a/b c="),
        ('{"got":"a\\"b\\\\c"}', 'a"b\\c'),
        ("Ihr Schlüssel: schlüssel-wort", "schlüssel-wort"),
        ('{"got":"schl\\u00fcssel-wort"}', "schlüssel-wort"),
        ("key starting with 0a1b2c3d... is revoked", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
    ],
)
def test_a_known_secret_is_cut_out_in_every_form(text: str, secret: str):
    found = redact(text, [secret])
    assert MARK in found
    assert secret not in found
    assert secret[:8] not in found


def test_of_two_secrets_the_longer_goes_first():
    assert redact("it is abcdefgh", ["abcd", "abcdefgh"]) == f"it is {MARK}"


def test_an_empty_or_tiny_secret_cuts_nothing_up():
    assert redact("a cat sat", ["", "a"]) == "a cat sat"


def test_no_text_is_over_2000_characters():
    assert redact("word " * 10_000).endswith("…")
    assert len(redact("word " * 10_000)) == TEXT_CHARS_MAX
    assert redact("x" * TEXT_CHARS_MAX) == "x" * TEXT_CHARS_MAX


@pytest.mark.parametrize("before", range(15_960, 16_001, 5))
def test_a_key_at_the_edge_of_what_is_read_does_not_survive_in_part(before: int):
    # Marks shorten the text, so that the edge of what is read comes into what is kept.
    many = "sk-" + "a" * 500 + " "
    padding = (many * (before // len(many) + 1))[:before].rpartition(" ")[0] + " "
    text = padding + "." * (before - len(padding)) + " Zm9vYmFyYmF6cXV1eA" + "Q" * 40
    found = redact(text, ["Zm9vYmFyYmF6cXV1eA" + "Q" * 40])
    assert "Zm9vYm" not in found


def test_twice_is_once():
    for key in KEYS.values():
        once = redact(f"Authorization: Bearer {key}\nkey {key} https://u:p@h/?key={key}")
        assert redact(once) == once


def test_a_lone_surrogate_can_be_encoded_afterwards():
    assert redact("file \udcff.csv").encode() == "file \ufffd.csv".encode()


@pytest.mark.parametrize(
    "piece",
    [
        "a://",
        "Bearer ",
        "key: ",
        "?key=",
        "-----BEGIN ",
        "eyJaaaaaaa",
        "sk-",
        "api_key=",
        "'\"",
        "&k",
    ],
)
def test_no_text_makes_it_slow(piece: str):
    started = time.process_time()
    redact(piece * (8_000_000 // len(piece)))
    assert time.process_time() - started < 0.5


def test_a_text_of_nothing_but_the_beginning_of_a_secret_is_not_slow():
    secret = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
    started = time.process_time()
    assert redact(secret[:8] * 500_000, [secret]).startswith(MARK)
    assert time.process_time() - started < 2


def test_an_infra_error_holds_no_key_wherever_it_was_made():
    error = InfraError(
        "connect", f"bad key {KEYS['openai']}", internal=f"https://u:p4ss@host said {KEYS['jwt']}"
    )
    assert (error.public, error.internal) == (
        f"bad key {MARK}",
        f"https://{MARK}@host said {MARK}",
    )
    assert str(error) == error.public
