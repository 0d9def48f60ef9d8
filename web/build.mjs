// Compiles pages.css for the templates and names the result by its content, so that it can be cached for ever.
// `--check` only tells whether the committed file is the one these sources give.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "../src/doorward/web/static");
const cli = join(dirname(createRequire(import.meta.url).resolve("@tailwindcss/cli/package.json")), "dist/index.mjs");

const css = execFileSync(process.execPath, [cli, "--input", "pages.css", "--minify"], {
  cwd: here,
  stdio: ["ignore", "pipe", "ignore"],
});
// The pages' policy is img-src 'self': a data: image would be refused by the browser, and noisily.
if (css.includes("data:")) throw new Error("the compiled CSS holds a data: URL, which the pages' policy refuses");

const name = `doorward.${createHash("sha256").update(css).digest("hex").slice(0, 8)}.css`;
const built = (file) => /^doorward\.[0-9a-f]{8}\.css$/.test(file);

if (process.argv.includes("--check")) {
  const committed = JSON.parse(readFileSync(join(target, "assets.json"), "utf8")).css;
  if (committed !== name || !readFileSync(join(target, committed)).equals(css)) {
    console.error(`${committed} is not what the sources give (${name}): run npm run build`);
    process.exit(1);
  }
} else {
  mkdirSync(target, { recursive: true });
  for (const file of readdirSync(target).filter(built)) rmSync(join(target, file));
  writeFileSync(join(target, name), css);
  writeFileSync(join(target, "assets.json"), JSON.stringify({ css: name }) + "\n");
  console.log(`${name}  ${(css.length / 1024).toFixed(1)} kB`);
}
