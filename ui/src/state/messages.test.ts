import { expect, test, vi } from 'vitest';
import type { MessageView } from '../backend/agenttypes';
import type { Event } from '../backend/types';
import { Messages } from './messages.svelte';

const message = (id: string, state: MessageView['state'], queued_at = '2026-01-01T00:00:00Z') =>
  ({ id, state, queued_at, text: id }) as MessageView;
const event = (kind: string, agent_id: string | null) =>
  [{ fact: { kind }, subject: { agent_id } }] as unknown as Event[];

test('a message that was delivered before its sending was answered is not shown as queued', async () => {
  let sent: (view: MessageView) => void = () => undefined;
  const api = {
    messages: vi.fn(async () => ({ items: [message('1', 'delivered')] })),
    send: vi.fn(() => new Promise<MessageView>((done) => (sent = done))),
    retryMessage: vi.fn(),
    discardMessage: vi.fn(),
  };
  const messages = new Messages(api, 'g');
  const sending = messages.send('hello', false);
  messages.apply(event('messages_delivered', 'g'));
  sent(message('1', 'queued'));
  await sending;
  await expect.poll(() => messages.list.map((one) => one.state)).toEqual(['delivered']);
});

test('only what concerns the agent is read again', () => {
  const api = {
    messages: vi.fn(async () => ({ items: [] })),
    send: vi.fn(),
    retryMessage: vi.fn(),
    discardMessage: vi.fn(),
  };
  const messages = new Messages(api, 'g');
  messages.apply(event('messages_delivered', 'another'));
  messages.apply(event('request_asked', 'g'));
  expect(api.messages).not.toHaveBeenCalled();
  messages.apply(event('message_queued', 'g'));
  messages.apply(event('message_discarded', null));
  expect(api.messages).toHaveBeenCalledTimes(2);
});
