/** Chooses the backend, signs in where that is needed, and shows the app. */
import './kit/tokens.css';
import './kit/base.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { browserBackend, loginCode, signIn } from './backend/browser';
import { inWindow, windowBackend } from './backend/window';
import { Hive } from './state/hive.svelte';

async function start(): Promise<void> {
  const backend = inWindow() ? windowBackend() : browserBackend();
  const hive = new Hive(backend);
  hive.settings.start();
  if (backend.kind === 'browser') {
    // A link opened in a page that is already there only changes the fragment.
    addEventListener('hashchange', () => {
      if (loginCode(location.hash) !== null) location.reload();
    });
    await signIn(backend).catch(() => undefined);
  }
  hive.start();
  const target = document.getElementById('app');
  if (target) mount(App, { target, props: { hive } });
}

void start();
