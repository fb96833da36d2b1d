"""Runs cases of the Autobahn suite against servers and prints the verdicts as JSON.

    fuzz.py '{"cases": ["1.*", "9.1.1"], "at_once": 8, "servers": {"direct": {"port": 1234}}}'

A server is a `port` of 127.0.0.1; with `name` and `authority` (a file of certificates) it speaks TLS under that name;
`headers` go along with the handshake. The answer is, for each server and each case, the suite's verdict, its verdict on
the close, and the close code that the server sent.

The runner of the suite is for Python 2; this one does what its `FuzzingClientProtocol` does, with several cases at once.
"""

import asyncio
import json
import ssl
import sys

import txaio

import suite

txaio.use_asyncio()

from autobahn.asyncio.websocket import WebSocketClientFactory, WebSocketClientProtocol  # noqa: E402

# How long the whole of a case may take.
PATIENCE = 500

# How long a server may take over its part of an end. The suite has a second; on a busy machine it is the machine that
# needs more, with Usher or without. A server that does its part is not waited for.
LAST_WORD = 30

# How long a case waits for what it expects before it closes without a code, as it does at once where nothing is expected.
# The suite has a second here too. Whoever sends a ping in 125 pieces beside 63 others needs more on a busy machine.
EXPECTATION = 20


class Peer(WebSocketClientProtocol):
    """The fuzzing side of one connection: what a case calls `self.p`."""

    def __init__(self, number, make_case):
        super().__init__()
        self.number, self.make_case = number, make_case
        self.connectionWasOpen = False
        self.createWirelog = False
        self.txFrameStats = {}
        self.over = asyncio.get_running_loop().create_future()

    # What happens to the connection.

    def connection_made(self, transport):
        super().connection_made(transport)
        self.case = self.make_case(self)
        # The cases of compression handle bytes, the others strings of Python 2.
        self.is_raw = hasattr(self.case, 'TESTDATA')

    def data_received(self, data):
        # At once: the library would put it off, and forget it when the connection closes meanwhile.
        self._dataReceived(data)

    def connection_lost(self, reason):
        super().connection_lost(reason)
        self.case.onConnectionLost(self.failedByMe)
        if not self.over.done():
            self.over.set_result([self.case.behavior, self.case.behaviorClose, self.remoteCloseCode])

    def onOpen(self):
        self.connectionWasOpen = True
        self.case.onOpen()

    def onMessage(self, payload, isBinary):
        self.case.onMessage(payload if self.is_raw else suite.as_text(payload), isBinary)

    def onPong(self, payload):
        self.case.onPong(suite.as_text(payload))

    def onClose(self, wasClean, code, reason):
        self.case.onClose(wasClean, code, reason)

    def logTxFrame(self, frameHeader, payload, repeatLength, chopsize, sync):
        self.txFrameStats[frameHeader.opcode] = self.txFrameStats.get(frameHeader.opcode, 0) + 1

    def logRxFrame(self, frameHeader, payload):
        pass

    # What a case asks for.

    def sendFrame(self, opcode, payload=b'', **more):
        super().sendFrame(opcode, payload=suite.as_bytes(payload), **more)

    def sendMessage(self, payload, isBinary=False, **more):
        super().sendMessage(suite.as_bytes(payload), isBinary, **more)

    def sendMessageFrameData(self, payload, sync=False):
        return super().sendMessageFrameData(suite.as_bytes(payload), sync)

    def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
        super().sendCloseFrame(code, suite.as_bytes(reasonUtf8), isReply)

    def enableWirelog(self, enable):
        pass

    def continueLater(self, delay, function, tag=None):
        self.later(delay, function)

    def killAfter(self, delay):
        self.later(max(delay, LAST_WORD), lambda: self._fail_connection())

    def closeAfter(self, delay):
        self.later(max(delay, EXPECTATION), lambda: self.sendClose())

    def later(self, delay, function):
        def unless_closed():
            if self.state != self.STATE_CLOSED:
                function()

        asyncio.get_running_loop().call_later(delay, unless_closed)


async def run(number, make_case, server):
    """The verdict of one case."""
    secure = 'name' in server
    name = server.get('name', '127.0.0.1')
    url = f'wss://{name}/ws' if secure else f'ws://{name}:{server["port"]}/ws'
    factory = WebSocketClientFactory(url, headers=server.get('headers', {}))
    factory.setProtocolOptions(failByDrop=False, openHandshakeTimeout=LAST_WORD, closeHandshakeTimeout=LAST_WORD,
                               serverConnectionDropTimeout=LAST_WORD)
    factory.logFrames = True
    factory.protocol = lambda: Peer(number, make_case)
    trust = ssl.create_default_context(cafile=server['authority']) if secure else None
    loop = asyncio.get_running_loop()
    _, peer = await loop.create_connection(factory, '127.0.0.1', server['port'], ssl=trust,
                                           server_hostname=name if secure else None)
    try:
        return await asyncio.wait_for(peer.over, PATIENCE)
    except asyncio.TimeoutError:
        return ['NO END', 'NO END', None]


async def main(wanted):
    verdicts = {name: {} for name in wanted['servers']}
    places = asyncio.Semaphore(wanted['at_once'])

    async def one(name, server, number, make_case):
        async with places:
            verdicts[name][number] = await run(number, make_case, server)

    cases = suite.load(wanted['cases'])
    await asyncio.gather(*(one(name, server, *case) for case in cases for name, server in wanted['servers'].items()))
    print(json.dumps(verdicts))


asyncio.run(main(json.loads(sys.argv[1])))
