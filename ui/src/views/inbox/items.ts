/** What waits for the captain, in one order: requests, messages that got stuck, reviews, and what was put off. */
export { lineOf } from '../../parts/agent/requests';

import type { Inbox } from '../../state/inbox.svelte';
import { deferred } from '../../state/inbox.svelte';
import type { MessageView, RequestView, ReviewWaiting, RiskLevel } from '../../state/types';

export type Item =
  | { kind: 'request'; key: string; request: RequestView; later: boolean }
  | { kind: 'message'; key: string; message: MessageView }
  | { kind: 'review'; key: string; review: ReviewWaiting };

/** Those that wait longest first; what was put off comes last. */
export function itemsOf(inbox: Pick<Inbox, 'requests' | 'reviews' | 'quarantined'>, now: number): Item[] {
  const requests = [...inbox.requests]
    .sort((a, b) => Date.parse(a.asked_at) - Date.parse(b.asked_at))
    .map((request): Item => ({ kind: 'request', key: request.id, request, later: deferred(request, now) }));
  const put = (later: boolean) => requests.filter((item) => item.kind === 'request' && item.later === later);
  return [
    ...put(false),
    ...inbox.quarantined.map((message): Item => ({ kind: 'message', key: message.id, message })),
    ...inbox.reviews.map((review): Item => ({ kind: 'review', key: review.mission_id, review })),
    ...put(true),
  ];
}

/** Who asks and for which mission, as far as both still exist. */
export const agentOf = (request: RequestView): string => request.agent ?? 'a removed agent';
export const missionOf = (request: RequestView): string =>
  request.short_id ? `${request.short_id} ${request.mission_title ?? ''}`.trim() : 'a removed mission';

export const riskOf = (request: RequestView): RiskLevel | null =>
  request.ask.kind === 'permission' ? request.ask.permission.risk.level : null;

/** Where the keyboard is after the list changed: on the same item, or on what took its place. */
export function placeAfter(
  before: readonly Item[],
  after: readonly Item[],
  key: string | null,
): string | null {
  if (key === null) return after[0]?.key ?? null;
  if (after.some((item) => item.key === key)) return key;
  const at = before.findIndex((item) => item.key === key);
  const next = before.slice(at + 1).find((item) => after.some((one) => one.key === item.key));
  return next?.key ?? after.at(-1)?.key ?? null;
}
