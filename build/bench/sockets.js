// Idle users with a socket each, for build/bench/sockets.sh: WITH=connect uses this extension, WITH=websockets the same with
// k6/websockets. It prints READY and CONNECTED, and waits after each, so that its memory can be measured.
import { WebSocket } from 'k6/websockets';
import { print, StripeSigner, think, Verity } from 'k6/x/verity';
import http from 'k6/http';

const users = Number(__ENV.USERS);
const baseUrl = __ENV.BASE_URL;
const verity = new Verity({ baseUrl, signer: new StripeSigner(__ENV.STRIPE_WEBHOOK_SECRET) });

export const options = { vus: 1, iterations: 1 };

async function inBatches(items, work) {
  const results = [];
  for (let i = 0; i < items.length; i += 50) {
    results.push(...await Promise.all(items.slice(i, i + 50).map(work)));
  }
  return results;
}

/**
 * Engine.IO and Socket.IO by hand, as far as an idle user needs them. k6/websockets drops a message that comes before its own
 * open event, now and then the first: then another socket is opened.
 */
function connectByHand(token) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`${baseUrl.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
    let joined = 0;
    setTimeout(() => {
      if (joined === 0) {
        socket.close();
        resolve(connectByHand(token));
      }
    }, 2000);
    socket.onmessage = ({ data }) => {
      if (data[0] === '0') {
        socket.send(`40/queue,{"token":"${token}"}`);
        socket.send(`40/video,{"token":"${token}"}`);
      } else if (data === '2') {
        socket.send('3');
      } else if (data.startsWith('40/')) {
        joined += 1;
        if (joined === 2) {
          resolve(socket);
        }
      }
    };
  });
}

const withConnect = {
  signUp: () => verity.signUp(),
  connect: async (user) => {
    await user.connect();
    return user;
  },
};

const withWebsockets = {
  signUp: async () => http.post(`${baseUrl}/auth/signup-anonymous`).json('accessToken'),
  connect: connectByHand,
};

export default async function () {
  const { signUp, connect } = __ENV.WITH === 'connect' ? withConnect : withWebsockets;
  const signedUp = await inBatches(Array(users).fill(), signUp);
  await think(7); // the stand-in closes idle HTTP connections after 5 s
  print('READY');
  await think(2);
  const connected = await inBatches(signedUp, connect);
  await think(3);
  print('CONNECTED');
  await think(2);
  connected.forEach((user) => user.close());
}
