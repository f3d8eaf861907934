// Requests that two servers in a row might read differently, as raw bytes, with the answer that each
// must get. In the rows of BODIES a second request, the canary, lies where some reading of the framing
// would find one that the client never framed. Rows whose lenient reading is whole without it carry none
// inside: a front that repairs them frames what follows itself.

const HOST = 'Host: a\r\n';

/** A whole, valid call that leaves its tag in the bill when it is served. */
export function canary(key, tag) {
    const body = '{"model":"gpt-4o","messages":[{"role":"user","content":"canary"}]}';

    return `POST /v1/chat/completions HTTP/1.1\r\n${HOST}Authorization: Bearer ${key}\r\nx-sim-tag: ${tag}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const fields = (count) => Array.from({ length: count }, (_, i) => `x-${i}: v\r\n`).join('');

// [name, head, status]
export const HEADS = [
    ['length with nothing behind it', `GET / HTTP/1.1\r\n${HOST}Content-Length:\r\n\r\n`, 400],
    ['coding in 1.0', `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`, 400],
    ['blank in a name', `GET / HTTP/1.1\r\n${HOST}X Y: 5\r\n\r\n`, 400],
    ['empty name', `GET / HTTP/1.1\r\n${HOST}: 5\r\n\r\n`, 400],
    ['no colon', `GET / HTTP/1.1\r\n${HOST}X\r\n\r\n`, 400],
    ['bare LF everywhere', 'GET / HTTP/1.1\nHost: a\n\n', 400],
    ['bare LF once', `GET / HTTP/1.1\r\n${HOST}X: y\nZ: 1\r\n\r\n`, 400],
    ['bare LF at the end', `GET / HTTP/1.1\r\n${HOST}X: y\r\n\n`, 400],
    ['bare CR in a value', `GET / HTTP/1.1\r\n${HOST}X: a\rb\r\n\r\n`, 400],
    ['bare CR as a line end', `GET / HTTP/1.1\r\n${HOST}X: a\rY: b\r\n\r\n`, 400],
    ['NUL in a value', `GET / HTTP/1.1\r\n${HOST}X: a\0b\r\n\r\n`, 400],
    ['NUL in a name', `GET / HTTP/1.1\r\n${HOST}X\0: a\r\n\r\n`, 400],
    ['NUL in a target', `GET /\0 HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['ESC in a value', `GET / HTTP/1.1\r\n${HOST}X: a\x1b[0m\r\n\r\n`, 400],
    ['DEL in a value', `GET / HTTP/1.1\r\n${HOST}X: a\x7f\r\n\r\n`, 400],
    ['folded', `GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, 400],
    ['folded by a tab', `GET / HTTP/1.1\r\n${HOST}X: a\r\n\tb\r\n\r\n`, 400],
    ['leading blank', `GET / HTTP/1.1\r\n ${HOST}\r\n`, 400],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 400],
    ['no host in 1.0', 'GET / HTTP/1.0\r\n\r\n', 400],
    ['two hosts', `GET / HTTP/1.1\r\n${HOST}Host: b\r\n\r\n`, 400],
    ['two equal hosts', `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400],
    ['empty host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 400],
    ['host with a path', 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
    ['host with a user', 'GET / HTTP/1.1\r\nHost: u@a\r\n\r\n', 400],
    ['host list', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n', 400],
    ['host with a port out of range', 'GET / HTTP/1.1\r\nHost: a:70000\r\n\r\n', 400],
    ['absolute form', `GET http://evil/a HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['asterisk form', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`, [400, 405]],
    ['authority form', `CONNECT a:80 HTTP/1.1\r\n${HOST}\r\n`, [400, 405]],
    ['blank in the target', `GET /a b HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['two blanks', `GET  / HTTP/1.1\r\n${HOST}\r\n`, 400],
    ['tab behind the method', `GET\t/ HTTP/1.1\r\n${HOST}\r\n`, [400, 405]],
    ['escaped dots', `GET /a/%2e%2e%2fb HTTP/1.1\r\n${HOST}\r\n`, [400, 404]],
    ['escaped NUL', `GET /v1/models/a%00b HTTP/1.1\r\n${HOST}\r\n`, [400, 401]],
    ['escaped line end', `GET /v1/models/%0d%0aX:%20y HTTP/1.1\r\n${HOST}\r\n`, [400, 401]],
    ['version 1.9', `GET / HTTP/1.9\r\n${HOST}\r\n`, 505],
    ['version 2.0', `GET / HTTP/2.0\r\n${HOST}\r\n`, 505],
    ['version 0.9', `GET /\r\n${HOST}\r\n`, [400, 505]],
    ['version in lower case', `GET / http/1.1\r\n${HOST}\r\n`, 400],
    ['preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 405, 505]],
    ['odd method', `G@T / HTTP/1.1\r\n${HOST}\r\n`, [400, 405]],
    ['method in lower case', `get / HTTP/1.1\r\n${HOST}\r\n`, [400, 405]],
    ['trace', `TRACE / HTTP/1.1\r\n${HOST}\r\n`, 405],
    ['other expectation', `POST /v1/chat/completions HTTP/1.1\r\n${HOST}Expect: 200-ok\r\n\r\n`, 417],
    ['too many fields', `GET / HTTP/1.1\r\n${HOST}${fields(200)}\r\n`, 431],
    ['too long a head', `GET / HTTP/1.1\r\n${HOST}X: ${'v'.repeat(40_000)}\r\n\r\n`, 431],
    ['too long a target', `GET /${'v'.repeat(40_000)} HTTP/1.1\r\n${HOST}\r\n`, 431],
    ['TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n', [400, 405, 505]],
];

const START = (key) => `POST /v1/chat/completions HTTP/1.1\r\n${HOST}Authorization: Bearer ${key}\r\n`;
const chunk = (text) => `${text.length.toString(16)}\r\n${text}\r\n`;

// [name, fields of the head, body around the canary, status, front that makes two requests of it by
// itself]; $L: length of the body, $H: in hex. (haproxy 2.6 reads 2^64 as 0 and sends the rest as a
// request of its own, on another connection, well framed: behind it nobody can tell.)
export const BODIES = [
    ['length and coding', 'Content-Length: $L\r\nTransfer-Encoding: chunked', (c) => `0\r\n\r\n${c}`, 400],
    ['coding and length', 'Transfer-Encoding: chunked\r\nContent-Length: $L', (c) => `0\r\n\r\n${c}`, 400],
    ['coding and a short length', 'Transfer-Encoding: chunked\r\nContent-Length: 4', (c) => `${chunk(c)}0\r\n\r\n`, 400],
    ['length, then 0', 'Content-Length: $L\r\nContent-Length: 0', (c) => c, 400],
    ['0, then length', 'Content-Length: 0\r\nContent-Length: $L', (c) => c, 400],
    ['two equal lengths', 'Content-Length: $L\r\nContent-Length: $L', (c) => c, 400],
    ['length list', 'Content-Length: $L, 0', (c) => c, 400],
    ['equal length list', 'Content-Length: $L, $L', (c) => c, 400],
    ['length with a plus', 'Content-Length: +$L', (c) => c, 400],
    ['length with a minus', 'Content-Length: -$L', (c) => c, 400],
    ['length in hex', 'Content-Length: 0x$H', (c) => c, 400],
    ['length with a fraction', 'Content-Length: $L.0', (c) => c, 400],
    ['length with a blank inside', 'Content-Length: 1 $L', (c) => c, 400],
    ['length past 2^64', 'Content-Length: 18446744073709551616', (c) => c, 400, 'haproxy'],
    ['length 2^64 and more', 'Content-Length: 1844674407370955$L', (c) => c, [400, 413]],
    ['blank before the colon', 'Content-Length : $L', (c) => c, 400],
    ['tab before the colon', 'Content-Length\t: $L', (c) => c, 400],
    ['length folded', 'X: y\r\n Content-Length: $L', () => '', 400],
    ['length behind a bare CR', 'X: y\rContent-Length: $L', (c) => c, 400],
    ['length behind a bare LF', 'X: y\nContent-Length: $L', (c) => c, 400],
    ['gzip, chunked', 'Transfer-Encoding: gzip, chunked', (c) => c, 501],
    ['identity', 'Transfer-Encoding: identity', (c) => c, 501],
    ['xchunked', 'Transfer-Encoding: xchunked', (c) => c, 501],
    ['chunked in quotes', 'Transfer-Encoding: "chunked"', (c) => c, 501],
    ['chunked with a parameter', 'Transfer-Encoding: chunked;q=1', (c) => c, 501],
    ['chunked twice in one', 'Transfer-Encoding: chunked, chunked', (c) => c, [400, 501]],
    ['chunked behind a vertical tab', 'Transfer-Encoding: \x0bchunked', (c) => c, 400],
    ['two codings', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', (c) => `0\r\n\r\n${c}`, 400],
    ['chunked, then identity', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', (c) => `0\r\n\r\n${c}`, [400, 501]],
    ['blank before the coding\'s colon', 'Transfer-Encoding : chunked\r\nContent-Length: $L', (c) => `0\r\n\r\n${c}`, 400],
    ['coding behind a bare LF', 'Content-Length: $L\r\nX: y\nTransfer-Encoding: chunked', (c) => `0\r\n\r\n${c}`, 400],
    ['coding folded', 'Content-Length: $L\r\nTransfer-Encoding:\r\n chunked', (c) => `0\r\n\r\n${c}`, 400],
    ['chunk size 0x', 'Transfer-Encoding: chunked', (c) => `0x${chunk(c)}0\r\n\r\n`, 400],
    ['chunk size with a blank', 'Transfer-Encoding: chunked', (c) => `${chunk(c).replace('\r\n', ' \r\n')}0\r\n\r\n`, 400],
    ['chunk size with a sign', 'Transfer-Encoding: chunked', (c) => `+${chunk(c)}0\r\n\r\n`, 400],
    ['chunk size empty', 'Transfer-Encoding: chunked', (c) => `\r\n${c}`, 400],
    ['chunk size past 2^64', 'Transfer-Encoding: chunked', (c) => `1000000000000000${chunk(c)}0\r\n\r\n`, 400],
    ['bare LF behind the size', 'Transfer-Encoding: chunked', (c) => `${chunk(c).replace('\r\n', '\n')}0\r\n\r\n`, 400],
    ['bare LF behind the data', 'Transfer-Encoding: chunked', (c) => `${chunk(c).slice(0, -2)}\n0\r\n\r\n`, 400],
    ['bare CR behind the size', 'Transfer-Encoding: chunked', (c) => `${chunk(c).replace('\r\n', '\r')}0\r\n\r\n`, 400],
    ['bare LF in an extension', 'Transfer-Encoding: chunked', (c) => `5;a\nhello\r\n0\r\n\r\n${chunk(c)}0\r\n\r\n`, 400],
    ['NUL in an extension', 'Transfer-Encoding: chunked', (c) => `${chunk(c).replace('\r\n', ';a=\0\r\n')}0\r\n\r\n`, 400],
    ['data past its size', 'Transfer-Encoding: chunked', (c) => `5\r\nhello!\r\n0\r\n\r\n${c}`, 400],
    ['bare LF in the trailer', 'Transfer-Encoding: chunked', () => '0\r\nX: y\nContent-Length: 0\r\n\r\n', 400],
    ['bare LF at the end', 'Transfer-Encoding: chunked', () => '0\n\n', 400],
];

/** The bytes of a row of BODIES, its canary inside. */
export function bodyRequest([, head, around], key, tag) {
    const body = around(canary(key, tag));

    return `${START(key)}Content-Type: application/json\r\n${head.replaceAll('$L', body.length)
        .replaceAll('$H', body.length.toString(16))}\r\n\r\n${body}`;
}

// What is unusual, and valid.
export const VALID = [
    ['1.0', `GET / HTTP/1.0\r\n${HOST}\r\n`],
    ['tab in a value', `GET / HTTP/1.1\r\n${HOST}X: a\tb\r\n\r\n`],
    ['high bytes in a value', `GET / HTTP/1.1\r\n${HOST}X: \xc3\xa9\r\n\r\n`],
    ['empty value', `GET / HTTP/1.1\r\n${HOST}Cookie:\r\n\r\n`],
    ['length 0', `GET / HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`],
    ['ipv6 host', 'GET / HTTP/1.1\r\nHost: [::1]:4000\r\n\r\n'],
    ['underscore in the host', 'GET / HTTP/1.1\r\nHost: toll_gate:80\r\n\r\n'],
    ['100 fields', `GET / HTTP/1.1\r\n${HOST}${fields(99)}\r\n`],
    ['30 kB of head', `GET / HTTP/1.1\r\n${HOST}X: ${'v'.repeat(30_000)}\r\n\r\n`],
];
