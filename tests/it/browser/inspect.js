// Replaces the text of `pre` by what is wrong with the pages in the frames, once all are loaded.
addEventListener("load", () => {
  const frames = [...document.querySelectorAll("iframe")];
  const pages = new Map(frames.map((frame) => [frame.src, frame.contentDocument]));
  const lines = [`inspected ${frames.length} frames`];
  for (const frame of frames) {
    const page = frame.contentDocument;
    const name = frame.src.replace(/.*?\/(book\/|(?=[^/]*$))/, "");
    const report = (what) => lines.push(`${name} at ${frame.width}: ${what}`);
    if (!page.querySelector("main h1")) report("the page is empty");
    for (const element of page.querySelectorAll("main *")) {
      const { right, width } = element.getBoundingClientRect();
      if (width && right > frame.contentWindow.innerWidth + 1 && !scrolls(element.parentElement))
        report(`${element.localName} ends at ${Math.round(right)}: ${element.textContent.slice(0, 40).trim()}`);
    }
    for (const image of page.images)
      if (!image.naturalWidth) report(`there is no ${image.getAttribute("src")}`);
    for (const link of page.querySelectorAll("main a[href], nav a[href]")) {
      const url = new URL(link.href);
      const anchor = decodeURIComponent(url.hash.slice(1));
      url.hash = "";
      // Links to other sites are not followed; mdBook links each page to one with all of them.
      if (url.protocol !== "file:" || url.pathname.endsWith("/print.html")) continue;
      const target = pages.get(url.href);
      if (!target || (anchor && !target.getElementById(anchor)))
        report(`${link.getAttribute("href")} leads nowhere`);
    }
  }
  document.querySelector("pre").textContent = lines.join("\n");
  // What is printed is this page alone.
  frames.forEach((frame) => frame.remove());
});

// Whether what is wider than an element can be reached by scrolling in it.
function scrolls(element) {
  if (!element || element.localName === "body") return false;
  return ["auto", "scroll"].includes(getComputedStyle(element).overflowX) || scrolls(element.parentElement);
}
