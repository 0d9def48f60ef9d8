// Compiles pages.css for the templates, and names it and the script by their content, so that they can be cached for
// ever. `--check` only tells whether the committed files are those that these sources give.
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

const hashed = (stem, content, suffix) =>
  `${stem}.${createHash("sha256").update(content).digest("hex").slice(0, 8)}.${suffix}`;
const script = readFileSync(join(here, "passkeys.js"));
const names = { css: hashed("doorward", css, "css"), passkeys: hashed("passkeys", script, "js") };
const contents = { [names.css]: css, [names.passkeys]: script };
const built = (file) => /^(doorward\.[0-9a-f]{8}\.css|passkeys\.[0-9a-f]{8}\.js)$/.test(file);

if (process.argv.includes("--check")) {
  const committed = JSON.parse(readFileSync(join(target, "assets.json"), "utf8"));
  for (const [kind, name] of Object.entries(names)) {
    if (committed[kind] === name && readFileSync(join(target, name)).equals(contents[name])) continue;
    console.error(`${committed[kind]} is not what the sources give (${name}): run npm run build`);
    process.exit(1);
  }
} else {
  mkdirSync(target, { recursive: true });
  for (const file of readdirSync(target).filter(built)) rmSync(join(target, file));
  for (const [name, content] of Object.entries(contents)) {
    writeFileSync(join(target, name), content);
    console.log(`${name}  ${(content.length / 1024).toFixed(1)} kB`);
  }
  writeFileSync(join(target, "assets.json"), JSON.stringify(names) + "\n");
}
