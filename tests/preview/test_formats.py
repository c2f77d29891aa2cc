"""The platform's output formats: what each shows, and that none lets anything through that a browser would run."""

from __future__ import annotations

import pytest

from grader.preview.formats import to_html


@pytest.mark.parametrize(
    ("output_format", "text", "shown"),
    [
        ("text", "a <b>\n  c", "<pre>a &lt;b&gt;\n  c</pre>"),
        ("text", "", ""),
        ("md", "**a** `b`", "<p><strong>a</strong> <code>b</code></p>\n"),
        ("md", "# Title", '<p class="heading"><strong>Title</strong></p>\n'),
        ("md", "<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        ("md", "![x](http://example.org/x.png)", '<p>!<a href="http://example.org/x.png">x</a></p>\n'),
        ("md", "[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("html", "<p>a <b class='x' onclick=y>b</p>", "<p>a <b>b</b></p>"),
        ("html", "<h1>Title</h1>", '<p class="heading">Title</p>'),
        ("html", "</div></main>x", "x"),
        ("html", "<script>alert(1)</script>a<style>b{}</style>", "a"),
        ("html", "<script>alert(1)", ""),
        ("html", "<svg/onload=alert(1)><p>x", "<p>x</p>"),
        ("html", "<img src=x onerror=alert(1)>a", "a"),
        ("html", "<iframe src='//example.org'></iframe>a &amp; b &lt;i&gt;", "a &amp; b &lt;i&gt;"),
        ("html", "<a href='https://e.org/?a=1&b'>x</a>", '<a href="https://e.org/?a=1&amp;b">x</a>'),
        ("html", "<a href=' javascript:alert(1)' style=x>x</a>", "<a>x</a>"),
        ("html", "<a href='data:text/html,x'>x</a>", "<a>x</a>"),
        ("html", "a<br/>b<hr>", "a<br>b<hr>"),
        ("html", "<scr<script>ipt>alert(1)</script>", "ipt&gt;alert(1)"),
        ("simple_format", "a\nb\n\nc & d", "<p>a<br>b</p>\n<p>c &amp; d</p>"),
        ("simple_format", "<b>a</b>\r\n<script>x</script>", "<p><b>a</b><br></p>"),
        ("simple_format", "", ""),
        ("ansi", "\x1b[1;31mr<\x1b[0m x", '<pre><span class="ansi-red ansi-bold">r&lt;</span> x</pre>'),
        ("ansi", "\x1b[92mg\x1b[39;22mn\x1b[2J\x1b]0;t\x07m", '<pre><span class="ansi-green">g</span>nm</pre>'),
        ("ansi", "a\x1b", "<pre>a</pre>"),
        ("ansi", f"\x1b[{'3' * 5000}mr\x1b[{'0;' * 3000}31mx", '<pre>r<span class="ansi-red">x</span></pre>'),
    ],
)
def test_a_format_is_shown_as_on_the_platform(output_format: str, text: str, shown: str) -> None:
    """Each format's own marks work, and everything else is text."""
    assert to_html(text, output_format) == shown


@pytest.mark.parametrize("output_format", ["text", "md", "html", "simple_format", "ansi"])
def test_whatever_is_open_is_closed(output_format: str) -> None:
    """A text cannot end the element that holds it, nor leave one open."""
    shown = to_html("</pre></div></details><div><ul><li><b>x</table>", output_format)

    for tag in ("div", "pre", "ul", "li", "b", "p", "details"):
        assert shown.count(f"<{tag}>") == shown.count(f"</{tag}>")
    assert "details" not in shown.replace("&lt;/details&gt;", "")
