// Calls of the npm package `gigya`, one a line from standard input; what it gives back, one a line on standard output.
// Only where its requests go is changed: to a server on loopback, under the host name of the vendor.
const http = require("http");
const querystring = require("querystring");
const readline = require("readline");
const [, , sdk, port, apiKey] = process.argv;
const { Gigya } = require(sdk);

function onLoopback(endpoint, host, params, headers) {
  const body = querystring.stringify(params);
  const type = { "Content-Type": "application/x-www-form-urlencoded", "Content-Length": Buffer.byteLength(body) };
  const options = { host: "127.0.0.1", port, path: `/${endpoint}`, method: "POST", timeout: 20000 };
  return new Promise((resolve, reject) => {
    const request = http.request({ ...options, headers: { ...headers, ...type, Host: host } }, (response) => {
      const parts = [];
      response.on("data", (part) => parts.push(part));
      response.on("end", () => resolve(JSON.parse(Buffer.concat(parts).toString())));
    });
    request.on("timeout", () => request.destroy(new Error("no answer")));
    request.on("error", reject);
    request.end(body);
  });
}

async function answer({ credentials, method, params }) {
  const gigya = new Gigya(apiKey, "us1");
  gigya.httpRequest = onLoopback;
  gigya.setCredentials(credentials);
  const [called, owner] = method.split(".").reduce(([part], name) => [part && part[name], part], [gigya, null]);
  try {
    return { reply: await (called ? called.call(owner, params) : gigya.request(method, params)) };
  } catch (error) {
    return { failure: error.errorCode ?? String(error) };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line))));
  }
})();
