/** Chooses the backend, signs in where that is needed, and shows the app. */
import './kit/tokens.css';
import './kit/base.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { browserBackend, signIn } from './backend/browser';
import { inWindow, windowBackend } from './backend/window';
import { Hive } from './state/hive.svelte';

async function start(): Promise<void> {
  const backend = inWindow() ? windowBackend() : browserBackend();
  const hive = new Hive(backend);
  hive.settings.start();
  if (backend.kind === 'browser') await signIn(backend).catch(() => undefined);
  hive.start();
  const target = document.getElementById('app');
  if (target) mount(App, { target, props: { hive } });
}

void start();
