/** How a topic stands. */
import { plural } from '../../kit/units';
import type { Event, TopicView } from '../../state/types';

const FACTS: readonly Event['fact']['kind'][] = ['topic_opened', 'vote_cast', 'topic_closed'];

export const aboutTopics = ({ fact }: Event): boolean => FACTS.includes(fact.kind);

export interface Tally {
  option: string;
  votes: TopicView['votes'];
}

/** Votes by option, in the order of the options. */
export const tally = ({ topic, votes }: TopicView): Tally[] =>
  topic.options.map((option) => ({ option, votes: votes.filter((vote) => vote.option === option) }));

/** The options with the most votes; more than one when they are tied. */
export function leading(view: TopicView): string[] {
  const counts = tally(view).map(({ option, votes }) => ({ option, n: votes.length }));
  const most = Math.max(0, ...counts.map(({ n }) => n));
  return most === 0 ? [] : counts.filter(({ n }) => n === most).map(({ option }) => option);
}

/** Where it stands, in one line. */
export function standing(view: TopicView): string {
  const { decision } = view.topic;
  if (decision) return decision.option ? `decided: ${decision.option}` : 'closed without a decision';
  const ahead = leading(view);
  const cast = plural(view.votes.length, 'vote');
  if (ahead.length === 0) return 'no votes yet';
  return ahead.length === 1
    ? `${cast}, ${ahead[0]} is ahead`
    : `${cast}, tied between ${ahead.join(' and ')}`;
}
