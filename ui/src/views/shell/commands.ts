/** Everything that can be done or gone to, as entries of the palette. */
import { day, zone } from '../../kit/time';
import { AGENT_STATES, doing } from '../../parts/agent/words';
import { ASKS, asksOf, MISSION_STATES } from '../../parts/mission/words';
import type { Hive } from '../../state/hive.svelte';
import { SECTIONS } from '../settings/sections';

export interface Command {
  id: string;
  title: string;
  /** Further words it is found by, shown dimmed. */
  about: string;
  keys?: string;
  run: () => void;
}

function general(hive: Hive): Command[] {
  const { router, sheets, settings, swarm, notices, api } = hive;
  const report = (format: 'md' | 'html') =>
    void notices.during(
      'Exporting the report',
      async () => void (await api.save(await api.dayReport(day(Date.now()), format, zone))),
    );
  const all: Command[] = [
    {
      id: 'new-mission',
      title: 'New mission',
      about: 'write down and queue work',
      keys: 'n',
      run: () => sheets.show({ kind: 'new-mission', agent: null }),
    },
    {
      id: 'new-agent',
      title: 'New agent',
      about: 'any command-line agent',
      run: () => sheets.show({ kind: 'new-agent' }),
    },
    {
      id: 'stop-all',
      title: 'Stop all agents…',
      about: 'emergency, halt, end every process',
      keys: 'Ctrl Shift .',
      run: () => hive.halting.ask(),
    },
    {
      id: 'import',
      title: 'Import missions…',
      about: 'Markdown, JSON, CSV, an issue’s text',
      run: () => router.go('import'),
    },
    {
      id: 'plan',
      title: 'What would start now…',
      about: 'plan, dry run, why something waits',
      run: () => sheets.show({ kind: 'plan' }),
    },
    {
      id: 'scan',
      title: 'Scan a directory…',
      about: 'duplicates, oversize files; changes nothing',
      run: () => sheets.show({ kind: 'scan', path: '' }),
    },
    {
      id: 'new-topic',
      title: 'New topic…',
      about: 'a question the agents vote on',
      run: () => sheets.show({ kind: 'new-topic' }),
    },
    { id: 'deck', title: 'Go to the deck', about: 'home', keys: 'g d', run: () => router.go('deck') },
    {
      id: 'inbox',
      title: 'Go to the inbox',
      about: 'permissions, questions, reviews, what could not be delivered',
      keys: 'g i',
      run: () => router.go('inbox'),
    },
    {
      id: 'broadcast',
      title: 'Tell several agents something…',
      about: 'broadcast, message to all',
      run: () => sheets.show({ kind: 'broadcast', agents: [] }),
    },
    {
      id: 'missions',
      title: 'Go to the missions',
      about: 'board, list, graph, timeline',
      keys: 'g m',
      run: () => router.go('missions'),
    },
    {
      id: 'review',
      title: 'Go to what is in review',
      about: 'diff, gates, accept, merge, send back',
      keys: 'g r',
      run: () => router.go('review'),
    },
    {
      id: 'performance',
      title: 'Go to the performance',
      about: 'charts, processor, memory, disk, network, tokens over time',
      keys: 'g p',
      run: () => router.go('performance'),
    },
    {
      id: 'health',
      title: 'Go to the health',
      about: 'checks, uptime, maintenance, what is wrong',
      keys: 'g h',
      run: () => router.go('health'),
    },
    {
      id: 'topics',
      title: 'Go to the topics',
      about: 'votes, decisions',
      keys: 'g t',
      run: () => router.go('topics'),
    },
    {
      id: 'places',
      title: 'Go to the worktrees and the trash',
      about: 'disk space, clean-up, restore',
      keys: 'g w',
      run: () => router.go('places'),
    },
    { id: 'agents', title: 'Go to the agents', about: 'list', keys: 'g a', run: () => router.go('agents') },
    {
      id: 'devlogs',
      title: 'Go to the devlogs',
      about: 'journal, reports',
      keys: 'g l',
      run: () => router.go('devlogs'),
    },
    {
      id: 'settings',
      title: 'Go to the settings',
      about: 'appearance, checks, about',
      keys: 'g s',
      run: () => router.go('settings'),
    },
    ...SECTIONS.map(({ id, title, about }) => ({
      id: `settings-${id}`,
      title: `Settings: ${title}`,
      about,
      run: () => router.go('settings', id),
    })),
    {
      id: 'theme',
      title: settings.dark ? 'Use the light theme' : 'Use the dark theme',
      about: 'appearance',
      run: () => settings.toggleTheme(),
    },
    {
      id: 'density',
      title: settings.density === 'compact' ? 'Use comfortable rows' : 'Use compact rows',
      about: 'appearance',
      run: () => settings.set({ density: settings.density === 'compact' ? 'comfortable' : 'compact' }),
    },
    {
      id: 'report-html',
      title: 'Export today’s report as HTML',
      about: 'day report',
      run: () => report('html'),
    },
    {
      id: 'report-md',
      title: 'Export today’s report as Markdown',
      about: 'day report',
      run: () => report('md'),
    },
    {
      id: 'keys',
      title: 'Show the keys',
      about: 'keyboard shortcuts',
      keys: '?',
      run: () => sheets.show({ kind: 'keys' }),
    },
  ];
  if (swarm.health?.state === 'halted')
    all.unshift({
      id: 'resume-swarm',
      title: 'Resume the swarm',
      about: 'everything is stopped',
      run: () => void notices.during('Resuming the swarm', () => hive.halting.resume()),
    });
  if (swarm.overview?.demo)
    all.push({
      id: 'demo',
      title: 'Remove the demo swarm',
      about: 'demo',
      run: () => void notices.during('Removing the demo swarm', () => hive.removeDemo()),
    });
  else
    all.push({
      id: 'demo',
      title: 'Try the demo swarm',
      about: 'demo',
      run: () => void notices.during('Starting the demo swarm', () => hive.startDemo()),
    });
  return all;
}

function agents(hive: Hive): Command[] {
  const { router, sheets, notices } = hive;
  return hive.swarm.agents.flatMap((agent) => {
    const about = `agent · ${AGENT_STATES[agent.status.state].word} · ${doing(agent)}`;
    return [
      { id: `agent-${agent.id}`, title: agent.name, about, run: () => router.go('agents', agent.id) },
      {
        id: `assign-${agent.id}`,
        title: `New mission for ${agent.name}`,
        about: 'agent',
        run: () => sheets.show({ kind: 'new-mission', agent: agent.id }),
      },
      agent.paused
        ? {
            id: `resume-${agent.id}`,
            title: `Resume ${agent.name}`,
            about: 'agent',
            run: () => void notices.during(`Resuming ${agent.name}`, () => hive.resumeAgent(agent.id)),
          }
        : {
            id: `pause-${agent.id}`,
            title: `Pause ${agent.name}`,
            about: 'agent',
            run: () => void notices.during(`Pausing ${agent.name}`, () => hive.pauseAgent(agent.id)),
          },
      {
        id: `message-${agent.id}`,
        title: `Tell ${agent.name} something…`,
        about: 'agent · message',
        run: () => sheets.show({ kind: 'broadcast', agents: [agent.id] }),
      },
      {
        id: `edit-${agent.id}`,
        title: `Edit ${agent.name}…`,
        about: 'agent',
        run: () => sheets.show({ kind: 'edit-agent', agent }),
      },
      {
        id: `remove-${agent.id}`,
        title: `Remove ${agent.name}…`,
        about: 'agent',
        run: () => sheets.show({ kind: 'remove-agent', agent }),
      },
    ];
  });
}

function missions(hive: Hive): Command[] {
  const { router, notices } = hive;
  return hive.missions.list.flatMap((mission) => {
    const go = () => router.go('missions', mission.short_id);
    const about = `mission · ${MISSION_STATES[mission.state].word}${mission.agent_name ? ` · ${mission.agent_name}` : ''}`;
    const asks = asksOf(mission.allowed).map((ask) => ({
      id: `${ask}-${mission.id}`,
      title: `${ASKS[ask].word} ${mission.short_id}${ASKS[ask].danger || ask === 'send_back' ? '…' : ''}`,
      about: mission.title,
      // What cannot be taken back, or needs words, is asked for on the mission's own page; work on a
      // repository is looked at before it is accepted.
      run: () =>
        ask === 'accept' && mission.repository
          ? router.go('review', mission.short_id)
          : ASKS[ask].danger || ask === 'send_back'
            ? go()
            : void notices.during(`${ASKS[ask].word} ${mission.short_id}`, () =>
                hive.missions.ask(mission.id, ask),
              ),
    }));
    const review =
      mission.state === 'in_review'
        ? [
            {
              id: `review-${mission.id}`,
              title: `Review ${mission.short_id}`,
              about: mission.title,
              run: () => router.go('review', mission.short_id),
            },
          ]
        : [];
    return [
      ...review,
      { id: `mission-${mission.id}`, title: `${mission.short_id} ${mission.title}`, about, run: go },
      ...asks,
    ];
  });
}

export const commands = (hive: Hive): Command[] => [...general(hive), ...agents(hive), ...missions(hive)];

/** How well an entry fits what was typed; nothing when some word is missing. */
export function rank(command: Pick<Command, 'title' | 'about'>, typed: string): number | null {
  const title = command.title.toLowerCase();
  const all = `${title} ${command.about.toLowerCase()}`;
  let points = 0;
  for (const word of typed.toLowerCase().split(/\s+/).filter(Boolean)) {
    if (title.startsWith(word)) points += 4;
    else if (title.includes(` ${word}`)) points += 3;
    else if (title.includes(word)) points += 2;
    else if (all.includes(word)) points += 1;
    else return null;
  }
  return points;
}

/** The best entries for what was typed. */
export function found(all: readonly Command[], typed: string, limit: number): Command[] {
  return all
    .flatMap((command, order) => {
      const points = rank(command, typed);
      return points === null ? [] : [{ command, points, order }];
    })
    .sort((a, b) => b.points - a.points || a.order - b.order)
    .slice(0, limit)
    .map(({ command }) => command);
}
