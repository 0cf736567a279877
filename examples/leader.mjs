// Acts while this Pod leads: appends its fencing token and name to a ledger, five times a second. Standard library only (Node 18).
//   node leader.mjs [localhost:4040] [ledger]
import { appendFileSync, readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

const [address = "localhost:4040", ledger = "ledger"] = process.argv.slice(2);

// CLOCK_BOOTTIME, which Node has no call for, in milliseconds and rounded up: /proc/uptime has hundredths.
function nowMs() {
  return (Number(readFileSync("/proc/uptime", "utf8").split(" ")[0].replace(".", "")) + 1) * 10;
}

// Whether this Pod may act now: no HTTP. Ask it right before each side effect.
function leads(answer) {
  return answer.is_leader && nowMs() < answer.valid_until_boottime_ns / 1e6;
}

const agent = new Agent({ keepAlive: true }); // its own asks no proxy, whatever http_proxy and NODE_USE_ENV_PROXY say

function ask(method, path) {
  return new Promise((resolve, reject) => {
    const asked = request(`http://${address}${path}`, { method, agent, signal: AbortSignal.timeout(15_000) }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part) => (text += part)).on("error", reject);
      response.on("end", () => (response.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    });
    asked.on("error", reject).end();
  }).then(JSON.parse);
}

for (let version = "", wait = "0"; ; ) {
  try {
    // Told of a change at once; without one asked again after `wait`, since renewals move the deadline and not the version.
    const answer = await ask("GET", `/leader?since=${encodeURIComponent(version)}&wait=${wait}`);
    version = answer.version;
    wait = answer.is_leader ? "200ms" : "5s"; // the pace of the work; anything below expires_in will do
    if (leads(answer)) {
      // What the work changes should refuse a token smaller than the largest it has seen.
      appendFileSync(ledger, `${answer.fencing_token} ${answer.name}\n`);
    } else if (answer.state === "stepping-down") {
      await ask("POST", "/drained"); // nothing is under way: the next one may begin
    }
  } catch {
    [version, wait] = ["", "0"]; // no answer: not the leader
    await sleep(200);
  }
}
