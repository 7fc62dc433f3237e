"""Libraries of trees: lxml (libxml2 and libxslt), expat and ElementTree, and objects of Python."""

from typing import Any

from tests.torture.work import Work, library, nested

TEMPLATE = """
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:template name="down"><xsl:param name="n"/>
    <xsl:if test="$n &gt; 0"><n><xsl:call-template name="down">
      <xsl:with-param name="n" select="$n - 1"/>
    </xsl:call-template></n></xsl:if>
  </xsl:template>
  <xsl:template match="/"><xsl:call-template name="down">
    <xsl:with-param name="n" select="number(/a)"/>
  </xsl:call-template></xsl:template>
</xsl:stylesheet>"""
APPLYING = """
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:template match="@*|node()">
    <xsl:copy><xsl:apply-templates select="@*|node()"/></xsl:copy>
  </xsl:template>
</xsl:stylesheet>"""


def deep_xml(levels: int) -> str:
    return "<a>" * levels + "</a>" * levels


def chain_of(make: Any, levels: int) -> Any:
    """An element in an element; built from the innermost, so nothing recurses."""
    inner = make("a")
    for _ in range(levels):
        outer = make("a")
        outer.append(inner)
        inner = outer
    return inner


@library
def lxml() -> Work:
    import copy

    from lxml import etree, html

    work = Work()
    huge = etree.XMLParser(huge_tree=True)
    down, applying = etree.XSLT(etree.XML(TEMPLATE)), etree.XSLT(etree.XML(APPLYING))
    page = "<html><body>" + "<div><p>text</p>" * 200 + "</body></html>"

    def schema(n: int) -> Any:
        groups = "<group>" * n + "<empty/>" + "</group>" * n
        head = '<element name="a" xmlns="http://relaxng.org/ns/structure/1.0">'
        return etree.RelaxNG(etree.XML(f"{head}{groups}</element>", huge)).validate(
            etree.XML("<a/>")
        )

    work.value("parse", lambda: len(etree.tostring(etree.XML(deep_xml(250)))))
    work.value("page", lambda: len(html.tostring(html.fromstring(page))))
    work.value("xpath", lambda: etree.XML(deep_xml(200)).xpath("count(//a[.//a[.//a]])"), 3)
    work.value("canonical", lambda: len(etree.tostring(etree.XML(deep_xml(250)), method="c14n2")))
    work.limit("parse", lambda n: etree.XML(deep_xml(n)), 1000)
    work.limit("parse huge", lambda n: etree.tostring(etree.XML(deep_xml(n), huge)), 4000)
    work.limit("html", lambda n: html.tostring(html.fromstring("<div>" * n)), 2000)
    work.limit("build", lambda n: etree.tostring(chain_of(etree.Element, n)), 4000)
    work.limit("copy", lambda n: copy.deepcopy(chain_of(etree.Element, n)), 4000)
    work.limit("xslt by name", lambda n: str(down(etree.XML(f"<a>{n}</a>"))), 6000)
    work.limit("xslt by match", lambda n: str(applying(chain_of(etree.Element, n))), 6000)
    work.limit("xpath brackets", lambda n: etree.XPath("(" * n + "1" + ")" * n), 8000)
    work.limit("xpath predicates", lambda n: etree.XPath("a[" * n + "1" + "]" * n), 8000)
    work.limit("relax ng", schema, 1500)
    return work


@library
def xml() -> Work:
    """The standard library's."""
    import copy
    import pickle
    from xml.dom import minidom
    from xml.etree import ElementTree
    from xml.parsers import expat

    work = Work()

    def events(n: int) -> int:
        found: list[str] = []
        parser = expat.ParserCreate()
        parser.StartElementHandler = lambda name, _: found.append(name)
        parser.Parse(deep_xml(n), True)
        return len(found)

    def entities(n: int) -> str:
        texts = "".join(f'<!ENTITY e{i} "&e{i + 1};">' for i in range(n))
        text = f'<!DOCTYPE a [{texts}<!ENTITY e{n} "end">]><a>&e0;</a>'
        return ElementTree.fromstring(text).text or ""

    def model(n: int) -> None:
        content = "(" * n + "b" + ")" * n
        expat.ParserCreate().Parse(f"<!DOCTYPE a [<!ELEMENT a {content}>]><a/>", True)

    work.value("events", lambda: events(50_000), 4)
    work.value("iterate", lambda: len(list(ElementTree.fromstring(deep_xml(5000)).iter())))
    work.limit(
        "tostring", lambda n: ElementTree.tostring(ElementTree.fromstring(deep_xml(n))), 3000
    )
    work.limit("copy", lambda n: copy.deepcopy(chain_of(ElementTree.Element, n)), 3000)
    work.limit("pickle", lambda n: pickle.dumps(chain_of(ElementTree.Element, n)), 3000)
    work.limit("entities", entities, 3000)
    work.limit("content model", model, 3000)
    work.limit("dom", lambda n: minidom.parseString(deep_xml(n)).toxml(), 2000)
    work.limit("end", lambda n: chain_of(ElementTree.Element, n) is None, 30_000)
    return work


@library
def copy() -> Work:
    import copy
    import pickle

    work = Work()
    shared = nested(
        200, lambda inner: {"a": [inner, (inner,)]} if inner is None else {"a": [inner]}
    )
    work.value("copy", lambda: copy.deepcopy(shared) == shared)
    work.value("pickle", lambda: [len(pickle.dumps(shared, protocol)) for protocol in range(6)])
    work.limit("copy", lambda n: copy.deepcopy(nested(n)), 20_000)
    work.limit("copy of dicts", lambda n: copy.deepcopy(nested(n, lambda i: {"a": i})), 20_000)
    for protocol in range(6):
        work.limit(
            f"pickle {protocol}",
            lambda n, protocol=protocol: pickle.loads(pickle.dumps(nested(n), protocol)),
            20_000,
        )
    work.limit("pickle in python", lambda n: pickle._dumps(nested(n)), 20_000)
    return work
